"""One photograph: its job, its pages, verification."""

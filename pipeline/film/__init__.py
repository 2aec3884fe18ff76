"""One film: its job, its frames on their way, segments for resuming, shot records, verification."""

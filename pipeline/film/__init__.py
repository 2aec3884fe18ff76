"""Colouring of one film: the job, its frames, segments for resuming, shot records, verification."""

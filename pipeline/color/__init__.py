"""Luma to chroma: spaces, sketches, batching, upsampling. Knows nothing of files."""

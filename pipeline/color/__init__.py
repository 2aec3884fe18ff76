"""Luma to chroma: spaces, model inputs, batching, upsampling. Knows nothing of files."""

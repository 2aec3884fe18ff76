"""Engines run networks on named tensors; adapters above them turn lightness into chroma."""

DISTRIBUTION = "autochrome-archive"

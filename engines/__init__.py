"""Engines run networks: named tensors in, named tensors out; adapters above them turn lightness into chroma."""

DISTRIBUTION = "autochrome-archive"

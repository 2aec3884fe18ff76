"""Training of luma-to-chroma generators: data, architectures, losses, the loop, evaluation and export."""

DISTRIBUTION = "autochrome-archive"

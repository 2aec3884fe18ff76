"""Engines: lightness batch in, colour batch out, on whichever runtime this machine has."""

DISTRIBUTION = "autochrome-archive"

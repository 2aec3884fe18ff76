"""Colour films and photographs, file to file."""

DISTRIBUTION = "autochrome"

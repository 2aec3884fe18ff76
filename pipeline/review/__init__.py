"""Corrections by hand: which items there are, and the local page where people set colours right."""

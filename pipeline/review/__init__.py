"""Corrections by hand: the items under review, and the local page where people correct colours."""

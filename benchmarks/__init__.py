"""Measurements of the whole pipeline that anyone can repeat. Not installed."""

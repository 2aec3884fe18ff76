"""Measurements of the whole pipeline that anyone can repeat. Not installed."""

from pipeline.process import before_numpy

# As the commands do: what is measured is what they take.
before_numpy()

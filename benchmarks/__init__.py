"""Repeatable measurements of the whole pipeline. Not installed."""

from pipeline.process import before_numpy

# As the commands do, so that the same is measured.
before_numpy()

"""Third-party networks, reimplemented from their papers, with any width and random weights.

Their graphs equal those that users have: the same layers, inputs, outputs and value ranges. Their colours mean nothing.
"""

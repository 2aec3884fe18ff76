"""Other people's networks, written anew from their papers, at any width and with random weights.

They are what users have on their disks as far as graphs go: the same layers, inputs, outputs and value ranges. Their
colours mean nothing.
"""

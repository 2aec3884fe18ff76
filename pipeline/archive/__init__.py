"""A tree of films and photographs: walk, run."""

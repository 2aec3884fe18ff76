"""Run over a tree of films and photographs: plan, colour, report."""

"""Films and photographs in and out. Knows nothing of colourisation."""

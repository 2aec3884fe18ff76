"""The tone network, which tells photographs in colour from prints in one tone."""

"""The commands for films and archives: their options, what they call, and how they exit."""

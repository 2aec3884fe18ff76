"""The commands for films and archives: their options, what they call, how they end."""

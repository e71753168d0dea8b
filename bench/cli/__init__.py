"""What commands have in common: options, data options, and how each command ends."""

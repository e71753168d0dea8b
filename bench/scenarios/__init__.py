"""How requests arrive, one scenario a file."""

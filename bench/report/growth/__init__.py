"""How cost grows with what is swept: sweeps, laws, crossings."""

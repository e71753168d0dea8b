"""How an item becomes tokens."""

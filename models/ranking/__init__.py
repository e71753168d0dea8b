"""How items are ranked by inner product: the ladder of rankers, one row a file."""

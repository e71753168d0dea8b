"""SETRec: items as sets of vectors without an order, and a set of queries that one pass answers."""

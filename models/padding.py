"""The number that is no item, for those who read lists of items and need neither torch nor a recommender."""

PADDING = 0
"""The item number that is no item; catalogue items are 1..n."""

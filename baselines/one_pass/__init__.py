"""Recommenders that score the whole catalogue at once."""

"""The record, its store, and the statistics of comparing two."""

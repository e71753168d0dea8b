"""Recommenders that write an item's ID token by token."""

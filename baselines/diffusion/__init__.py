"""Recommenders that make an item's vector out of noise."""

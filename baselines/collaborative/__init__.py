"""Vectors of users and items from who took what, for recommenders that start from them."""

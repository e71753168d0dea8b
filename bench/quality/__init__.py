"""Ranked lists in, metrics with intervals out."""

"""Sections about quality: studies, seeds, beams, leaks, ablations, published numbers."""

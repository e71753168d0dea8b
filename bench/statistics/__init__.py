"""Ratios, intervals and tests on numbers that were measured."""

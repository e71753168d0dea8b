"""Tests of the records, their store and their comparison."""

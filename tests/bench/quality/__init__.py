"""Tests of ranks and metrics."""

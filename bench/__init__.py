"""The harness: what is measured, how, and how it is told."""

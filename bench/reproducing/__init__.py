"""From a suite to trained, evaluated, measured and rendered results, one command, resumable."""

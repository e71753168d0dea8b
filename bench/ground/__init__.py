"""What all rooms stand on: the home, files that are read and written whole, bounds of numbers, Ctrl-C."""

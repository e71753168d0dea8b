"""How cases are served: built or opened, timed in turns, measured apart, kept when they are finished."""

"""One quantity a file: latency, phases, FLOPs, memory, energy, and the machine they hold for."""

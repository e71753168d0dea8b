"""A recommender as a service: arrivals, a client in a process of its own, a batcher, workers, and what they find."""

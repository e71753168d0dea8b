"""The recommender interface, Lite-LLM4Rec, and the backbones every LLM-based recommender is built from."""

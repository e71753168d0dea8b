"""What is stored of a case, a study or a gate, and the store."""

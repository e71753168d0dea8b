"""What records say: labels, ratios, the ladder of decoders, findings."""

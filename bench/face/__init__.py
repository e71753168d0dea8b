"""What pytest sees of a run: the session, replayed samples, the summary, storage that is never torn."""

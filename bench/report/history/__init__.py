"""The page that follows each case through all stored runs."""

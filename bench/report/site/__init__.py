"""One page over all committed results, with links to each and back."""

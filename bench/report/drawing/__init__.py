"""What pages and figures are made with."""

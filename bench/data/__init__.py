"""Files and generators in, one `Dataset` out."""

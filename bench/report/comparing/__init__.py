"""The page that holds results files against the first of them."""

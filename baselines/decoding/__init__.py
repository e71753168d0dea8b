"""How tokens become a ranked list: the trie and the searches."""

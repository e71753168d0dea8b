"""TokenRec: users and items as the codes of their collaborative vectors, in a prompt that T5 answers in one pass."""

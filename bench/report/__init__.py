"""Records in; tables, figures and a page out."""

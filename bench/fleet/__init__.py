"""Many machines: a queue of cases in a shared folder, those who empty it, and who starts them."""

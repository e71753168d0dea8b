"""How weights come about: recipes, the loop, the trainer, batches, checkpoints."""

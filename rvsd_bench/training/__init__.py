"""Train the networks: recipes, endless batches, one step after another, exact resumption."""

"""Our rendered street: offline footage with the exact depth of every pixel."""

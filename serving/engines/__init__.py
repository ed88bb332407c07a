"""What computes a model's answers."""

"""What `uses:` can name: one module for each action."""

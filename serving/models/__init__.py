"""Which versions of which models are served, and how they come and go."""

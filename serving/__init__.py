"""A model server: SavedModels behind TensorFlow Serving's REST and gRPC interface, in one Python process."""

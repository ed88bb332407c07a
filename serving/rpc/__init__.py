"""TensorFlow Serving's gRPC interface, with its published protos."""

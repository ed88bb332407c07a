"""TensorFlow Serving's REST interface: URLs, JSON, and the application that joins them to the models."""

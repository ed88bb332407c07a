"""A model server: SavedModels behind TensorFlow Serving's REST and gRPC interface, in one Python process."""

import os

# Before grpc is imported: its newer way to read sockets sends each request through two more threads, for half as much
# time again.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")

"""Where tasks run: in Docker, or as plain processes of this machine."""

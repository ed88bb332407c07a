"""Services that go on after a run: containers behind a stable port, changed without a lost request, with a history."""

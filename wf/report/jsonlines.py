"""Each event as a line of JSON: for programs."""

import json
from typing import TextIO

from wf.events import Event


class JsonLinesReport:
    """Writes each event as it comes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def emit(self, event: Event) -> None:
        """Write the event."""
        self._stream.write(json.dumps(event.to_json(), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""

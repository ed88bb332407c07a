"""A short sample of what `make fuzzserver` does for an hour."""

import random
from pathlib import Path

from tests.fuzz.serving import Fuzzer, make_models
from tests.serving.running import running


def test_changed_requests_get_documented_answers(tmp_path: Path) -> None:
    """REST, HTTP and gRPC; afterwards the server answers as before."""
    with running(f"--model_config_file={make_models(tmp_path)}", "--rest_api_timeout_in_ms=5000") as client:
        fuzzer = Fuzzer(random.Random(random.SystemRandom().randrange(10**9)), client)
        for _ in range(300):
            fuzzer.step()
        fuzzer.check()
        fuzzer.close()

    assert fuzzer.told.total() == 300

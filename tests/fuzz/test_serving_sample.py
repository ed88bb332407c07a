"""A short sample of what `make fuzzserver` does for an hour, and of the bytes that `tests.fuzz.guided` looks for."""

import json
import random
from pathlib import Path

from tests.fuzz import parser
from tests.fuzz.documents import DOCUMENTS
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


def test_any_body_is_read_or_refused_in_words() -> None:
    """Bytes left out, put in and changed, in documents that are right without."""
    rng = random.Random(random.SystemRandom().randrange(10**9))
    told = set()
    for _ in range(3000):
        body = bytearray(json.dumps(rng.choice(DOCUMENTS)).encode())
        for _ in range(rng.randrange(4)):
            place = rng.randrange(len(body))
            body[place : place + rng.randrange(3)] = rng.choice((b"", b"[", b"{", b'"', b"-", b"1e9", rng.randbytes(1)))
        told.add(parser.check(bytes(body)))

    assert len(told) > 10

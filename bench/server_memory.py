"""Whether the model server's memory stays flat: requests of one row over REST, and what it holds at ten points.

    python -m bench.server_memory --requests 10000000

Needs h2load (Debian: nghttp2-client). The model is that of `bench.serving`, with the engine that the server chooses.
The last column is what was added since the first tenth, by when everything that is made once has been made. Ends with
1 if a request failed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.serving import CLIENTS, compiled, free_port, instances, make_model, memory_mib, process

POINTS = 10


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    given = parser.parse_args()
    part = max(given.requests // POINTS, CLIENTS)
    with tempfile.TemporaryDirectory() as folder:
        versions, body = Path(folder, "model"), Path(folder, "body")
        make_model(versions / "1")
        body.write_text(json.dumps({"instances": instances(1)}))
        port, rpc_port = free_port(), free_port()
        flags = [f"--model_base_path={versions}", f"--rest_api_port={port}", f"--port={rpc_port}"]
        with process([sys.executable, "-m", "serving", "--host=127.0.0.1", *flags], port) as (pid, _):
            print(f"engine {compiled(port)}, {memory_mib(pid):.1f} MiB before the first request")
            print(f"{'requests':>12} {'req/s':>8} {'MiB':>8} {'since 1st':>10}", flush=True)
            first, failed = 0.0, 0
            for point in range(1, POINTS + 1):
                started = time.monotonic()
                failed += _send(f"http://127.0.0.1:{port}/v1/models/model:predict", part, body)
                held = memory_mib(pid)
                first = first or held
                rate = part / (time.monotonic() - started)
                print(f"{part * point:12,} {rate:8,.0f} {held:8.1f} {held - first:+10.1f}", flush=True)
    print(f"{failed} failed")
    return 1 if failed else 0


def _send(url: str, requests: int, body: Path) -> int:
    """How many of these requests have failed."""
    options = ["--h1", f"-c{CLIENTS}", "-t1", f"-n{requests}", "-d", str(body), "-H", "content-type: application/json"]
    text = subprocess.run(["h2load", *options, url], capture_output=True, text=True, check=True).stdout
    return requests - int(re.findall(r"status codes: (\d+) 2xx", text)[0])


if __name__ == "__main__":
    sys.exit(main())

"""The language of these tests: deployments that are real containers of a small HTTP server in the base image."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, Self

from msgspec.structs import replace

from wf.deployments.proxy import STATISTICS, Counts, read_statistics
from wf.deployments.service import Deployments
from wf.deployments.spec import Deployment, DeploymentSpec, Probe, Rollout, Strategy
from wf.project import project_id
from wf.secrets import Secrets
from wf.settings import load_settings

GIVEN_UP: Final = 30.0
"""Seconds after which a client under load waits no more for an answer, and asks anew."""

SERVER = """
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
time.sleep(float(os.environ.get("WAIT", 0)))
if "BROKEN" in os.environ:
    sys.exit("cannot read the model; the key is " + os.environ.get("KEY", "none"))
print("the key is", os.environ.get("KEY", "none"), flush=True)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        healthy = self.path == "/ready"
        time.sleep(0 if healthy else float(os.environ.get("SLOW", 0)))
        path = "/model/" + self.path.lstrip("/")
        body = open(path).read() if os.path.isfile(path) else os.environ.get("ANSWER", "hello")
        wrong = "ERRORS" in os.environ or os.path.exists("/tmp/errors")
        unready = os.path.exists("/tmp/unready")
        self.send_response(500 if (unready if healthy else wrong) else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    do_POST = do_GET
    def log_message(self, *args):
        pass
server = ThreadingHTTPServer(("", 8000), Handler)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
"""
"""Answers what its variables say. SIGTERM ends it at once, whatever it has begun: nothing may be under way then."""


@dataclass
class Lab:
    """A project, its deployments, and what was told."""

    root: Path
    image: str
    secrets: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @property
    def deployments(self) -> Deployments:
        """The service, as each command opens it."""
        return Deployments(self.root, load_settings(self.root), Secrets([self.secrets.get]), self.told.append)

    def spec(self, replicas: int = 1, **env: str) -> DeploymentSpec:
        """A spec of the small server with these variables."""
        return DeploymentSpec(
            image=self.image,
            command=("python3", "-c", SERVER),
            env=env,
            port=8000,
            replicas=replicas,
            readiness=Probe(path="/ready", period=1.0),
        )

    def create(self, name: str = "it", replicas: int = 1, **env: str) -> Deployment:
        """A deployment of the small server."""
        return self.deployments.create(name, self.spec(replicas, **env), by="a test")

    def update(
        self, spec: DeploymentSpec, strategy: Strategy = "rolling", name: str = "it", **conditions: float
    ) -> Deployment:
        """Change it, with a short watch."""
        rollout = Rollout(strategy, **{"watch": 0.5, **conditions})
        return self.deployments.update(name, replace(spec, rollout=rollout), by="a test")

    def containers(self) -> list[str]:
        """The names of all containers of the project, running or not."""
        return self._docker("ps", "-a", "--format", "{{.Names}}")

    def networks(self) -> list[str]:
        """The names of all networks of the project."""
        return self._docker("network", "ls", "--format", "{{.Name}}")

    def _docker(self, *words: str) -> list[str]:
        label = f"label=wf.project={project_id(self.root).removeprefix('p')}"
        listed = subprocess.run(["docker", *words, "--filter", label], capture_output=True, text=True, check=True)
        return listed.stdout.split()

    def processes(self, container: str) -> list[int]:
        """The numbers of its processes on this machine, oldest first."""
        listed = subprocess.run(["docker", "top", container], capture_output=True, text=True, check=True)
        numbers = [int(line.split()[1]) for line in listed.stdout.splitlines()[1:]]
        return sorted(numbers, key=lambda number: (_started(number), number))

    def await_processes(self, container: str, count: int) -> list[int]:
        """Its processes when there are so many of them."""
        deadline = time.monotonic() + 30
        while len(found := self.processes(container)) != count:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def counts(self) -> dict[str, Counts]:
        """What the proxy of the only deployment says of each replica."""
        container = next(name for name in self.containers() if "-proxy-" in name)
        printed = subprocess.run(
            ["docker", "exec", container, *STATISTICS], capture_output=True, text=True, check=True
        ).stdout
        return read_statistics(printed)

    def let(self, container: str, be: str) -> None:
        """Let a replica answer errors (`errors`), be not ready (`unready`), or be well again (`well`)."""
        command = ("rm", "-f", "/tmp/errors", "/tmp/unready") if be == "well" else ("touch", f"/tmp/{be}")
        subprocess.run(["docker", "exec", container, *command], check=True)

    def restarts(self, container: str) -> int:
        """How often the engine has started it again."""
        shown = subprocess.run(
            ["docker", "inspect", "--format", "{{.RestartCount}}", container],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(shown.stdout)

    def await_answer(self, deployment: Deployment, answer: str, seconds: float = 30) -> None:
        """Wait until it answers so."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if ask(deployment) == (200, answer):
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, self.containers()
            time.sleep(0.2)

    def clean(self) -> None:
        """Remove everything, whatever state it is in."""
        for name in self.containers():
            subprocess.run(["docker", "rm", "-fv", name], capture_output=True, check=False)
        for name in self.networks():
            subprocess.run(["docker", "network", "rm", name], capture_output=True, check=False)


def ask(deployment: Deployment, path: str = "/", body: bytes | None = None) -> tuple[int, str]:
    """One request to a deployment's port."""
    try:
        with urllib.request.urlopen(f"http://{deployment.endpoint}{path}", body, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _started(process: int) -> int:
    """When a process was started, in ticks: numbers of processes begin anew when all have been used."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return sys.maxsize  # it has ended meanwhile
    return int(fields[19])


def kill(container: str) -> None:
    """End the first process of a container, and the container with it, as the kernel would."""
    shown = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", container], capture_output=True, text=True, check=True
    )
    os.kill(int(shown.stdout), signal.SIGKILL)


class Load:
    """Clients that ask without a pause, on connections that stay open, while a `with` block goes on."""

    def __init__(self, deployment: Deployment, clients: int = 4, body: bytes = b'{"instances": [1]}') -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.failures: list[str] = []
        self._address = deployment.endpoint
        self._body = body
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._silence = 0.0
        self._clients = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for client in self._clients:
            client.join()

    def counts(self) -> tuple[int, int]:
        """Requests that were answered with 200, and those that were not."""
        with self._lock:
            total, failures = self.answers.total(), len(self.failures)
            good = sum(count for (status, _), count in self.answers.items() if status == 200)
        return good, total - good + failures

    def silence(self) -> float:
        """The longest time, in seconds, in which nobody was answered with 200, since this was last asked."""
        with self._lock:
            longest = max(self._silence, time.monotonic() - self._last)
            self._silence, self._last = 0.0, time.monotonic()
        return longest

    def _ask(self) -> None:
        connection = HTTPConnection(self._address, timeout=GIVEN_UP)
        while not self._over.is_set():
            try:
                connection.request("POST", "/v1/models/model:predict", self._body)
                answer = connection.getresponse()
                told = answer.read().decode()
                with self._lock:
                    self.answers[answer.status, told] += 1
                    if answer.status == 200:
                        now = time.monotonic()
                        self._silence, self._last = max(self._silence, now - self._last), now
            except (OSError, HTTPException) as error:
                with self._lock:
                    self.failures.append(repr(error))
                connection.close()
            time.sleep(0.002)

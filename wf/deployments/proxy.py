"""The configuration of the proxy in front of a deployment, and what its statistics say. Pure."""

import csv
import operator
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from wf.deployments.mirror import HARMLESS, Mirror, ring, rules
from wf.deployments.spec import DeploymentSpec, Probe

IMAGE = "haproxy:lts"
CONFIG_PATH = "/usr/local/etc/haproxy/haproxy.cfg"
COMMAND = (
    "bash",
    "-c",
    f"""\
trap 'kill -USR2 $!' USR2
trap 'kill $!; exit' TERM
while true; do
    haproxy -W -db -f {CONFIG_PATH} &
    while kill -0 $!; do wait $!; done 2>/dev/null
    sleep 0.05 &
    wait $!
done""",
)
"""A master with workers, begun anew at once if one of them is killed: the container need not be started again.

Told by SIGUSR2 to read its configuration anew, the master closes no port and drops no request."""
PROGRAM = "haproxy"
PROCESSES = 2
"""Of that program, the master and the worker: more of them are workers that finish what they have begun."""
HTTP_PORT, GRPC_PORT = 8080, 8081
KEEP_ALIVE = 4
"""Seconds that an idle connection stays open: a worker that is replaced lives at least so long if there is one."""
LONGEST_REQUEST = 300
"""Seconds that a replica may take to answer."""
DRAIN = LONGEST_REQUEST + KEEP_ALIVE
_STATISTICS_PORT = 9999
_STATES = "/tmp/states"  # noqa: S108 -- of the container, where nobody else is
RELOAD = (
    "bash",
    "-c",
    f"""\
(exec 3<>/dev/tcp/127.0.0.1/{_STATISTICS_PORT} && echo show servers state >&3 && cat <&3 > {_STATES}.new) &&
    mv {_STATES}.new {_STATES}
kill -USR2 1""",
)
"""The command for that, to be run in the proxy's container: what the engine itself sends a signal to, it takes to be
stopped on purpose, and never starts again. What checks have found is handed on to the new worker, or it would send
requests to replicas that are down until it has checked them itself. A worker that begins at that moment reads all of
it, or that of before, and never a part: it would have replicas without addresses."""

STATISTICS = ("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{_STATISTICS_PORT}; echo show stat >&3; cat <&3")
"""The command, to be run in the proxy's container, that prints its statistics."""

_FULL_WEIGHT = 256


class Target(Struct, frozen=True):
    """A replica as the proxy sees it."""

    name: str
    """Its host name."""
    spec: DeploymentSpec
    share: float
    """Of all requests, among those of the others; 0 for one that is only looked at."""


class Counts(Struct, frozen=True):
    """What the proxy knows of a replica since it last read its configuration."""

    is_up: bool
    """Whether it gets its share of the requests: until its first check fails it is taken to be well."""
    is_ready: bool
    """Whether it has passed a check, and the last one."""
    requests: int = 0
    """Those that it has answered, well or not, and those that were asked again of another one."""
    errors: int = 0
    """Answers with 500 or above, connections refused, connections lost; also where another one was asked instead."""
    waiting: int = 0
    """Requests that it has and has not answered yet."""
    seconds: float = 0.0
    """From a request to the head of its answer, on average over the last few hundred."""
    state: str = ""
    """In the proxy's words: what it takes it for, and how the last check ended."""


def configuration(targets: Sequence[Target], mirror: Mirror | None = None) -> str:
    """The text of `haproxy.cfg`."""
    top = max((target.share for target in targets), default=0.0)
    weights = {
        target.name: max(1, round(_FULL_WEIGHT * target.share / top)) if target.share else 0 for target in targets
    }
    lines = [
        _HEAD.format(buffer=_LARGE_BUFFER if mirror else _BUFFER, balance=_balance(weights.values())),
        *(ring(mirror, _BY_NAME) if mirror else []),
        f"frontend http\n    bind :{HTTP_PORT}\n    default_backend http",
        *(rules(mirror) if mirror else []),
        f"frontend grpc\n    bind :{GRPC_PORT} proto h2\n    default_backend grpc",
    ]
    for target in targets:
        lines += _checks(target)
    lines.append(_HTTP_BACKEND)
    lines += [_server(target.name, f"{target.name}:{target.spec.port}", weights[target.name]) for target in targets]
    lines.append("backend grpc")
    lines += [
        _server(target.name, f"{target.name}:{target.spec.grpc_port} proto h2", weights[target.name])
        for target in targets
        if target.spec.grpc_port
    ]
    return "\n".join(lines) + "\n"


def _balance(weights: Iterable[int]) -> str:
    """How a replica is chosen for a request.

    Equal ones by who has the fewest requests: a replica that hangs is never given more than half of those under way, so
    that the others go on. To one that has none it looks as if it had no weight, so that shares need the other way.
    """
    return "leastconn" if len(set(weights) - {0}) <= 1 else "roundrobin"


def read_statistics(printed: str) -> dict[str, Counts]:
    """What the proxy says of each replica, by its name; nothing while it does not answer."""
    if not printed.startswith(_TABLE):
        return {}
    rows = list(csv.DictReader(printed.strip().removeprefix("# ").splitlines()))
    checks = {
        row["pxname"].removeprefix("check-"): row
        for row in rows
        if row["pxname"].startswith("check-") and row["svname"] == "replica"
    }
    counts = {}
    for name, check in checks.items():
        is_up = check["status"].startswith("UP")
        own = [row for row in rows if row["pxname"] in ("http", "grpc") and row["svname"] == name]
        counts[name] = Counts(
            is_up=is_up,
            is_ready=is_up and check["check_status"] in _PASSED,
            requests=_total(own, *_ANSWERS, "wretr"),
            errors=_total(own, "hrsp_5xx", "econ", "eresp", "wretr"),
            waiting=_total(own, "scur"),
            seconds=_mean_seconds(own),
            state=" ".join(filter(None, (check["status"], check["check_status"], check["check_code"]))),
        )
    return counts


def _total(rows: Sequence[Mapping[str, str]], *columns: str) -> int:
    return sum(int(row[column] or 0) for row in rows for column in columns)


def _mean_seconds(rows: Sequence[Mapping[str, str]]) -> float:
    """Of both protocols, by how often each was used."""
    answers = [_total([row], *_ANSWERS) for row in rows]
    milliseconds = [int(row["rtime"] or 0) for row in rows]
    return sum(map(operator.mul, answers, milliseconds)) / sum(answers) / 1000 if any(answers) else 0.0


_BUFFER, _LARGE_BUFFER = 16_384, 131_072

_HTTP_BACKEND = f"""\
backend http
    # A request whose connection was closed, or that is answered with an error, is asked again of another replica, where
    # asking twice does no harm: a broken one that is quick to say so would be given nearly all. It is kept for that.
    option http-buffer-request
    retry-on conn-failure empty-response 500 503
    http-request disable-l7-retry unless METH_GET or {{ method HEAD }} or {HARMLESS}"""

_TABLE = "# pxname"
_ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
_PASSED = ("L4OK", "L6OK", "L7OK", "L7OKC")
_BY_NAME = "resolvers engine resolve-prefer ipv4 init-addr last,none"
"""A worker takes addresses from the one before, and asks for others while it runs: to ask at its start would keep the
port closed for as long as a name server far away takes to say that it does not know a replica which is down."""


def _checks(target: Target) -> list[str]:
    """A backend without traffic, whose only server is checked: each revision may have probes of its own."""
    probe = target.spec.readiness or Probe(period=2.0)
    asked = [each for each in (target.spec.liveness, target.spec.readiness) if each and each.path]
    paths = dict.fromkeys((each.port or target.spec.port, each.path) for each in asked)
    lines = [f"backend check-{target.name}", f"    timeout check {_milliseconds(probe.timeout)}"]
    if paths:
        lines.append("    option httpchk")
    for port, path in paths:
        lines += [
            f"    http-check connect port {port}",
            f'    http-check send meth GET uri "{path}" ver HTTP/1.1 hdr Host localhost',
            "    http-check expect status 200-399",
        ]
    # A replica that is not ready yet is asked more often: nobody shall wait for a period to end.
    address = f"{target.name}:{probe.port or target.spec.port}"
    pace = f"inter {_milliseconds(probe.period)} fastinter 300ms downinter 300ms rise 1 fall {probe.failures}"
    lines.append(f"    server replica {address} check {pace} {_BY_NAME}")
    return lines


def _server(name: str, address: str, weight: int) -> str:
    return f"    server {name} {address} weight {weight} track check-{name}/replica {_BY_NAME}"


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


_NOBODY = "no replica of this deployment is ready"
_HEAD = f"""\
# Written by wf; it is replaced whenever replicas come and go.
global
    maxconn 4000
    nbthread 2
    hard-stop-after {DRAIN}s
    tune.bufsize {{buffer}}
    stats socket ipv4@127.0.0.1:{_STATISTICS_PORT} level user
    server-state-file {_STATES}

defaults
    mode http
    balance {{balance}}
    load-server-state-from-file global
    timeout connect 2s
    timeout client {LONGEST_REQUEST}s
    timeout server {LONGEST_REQUEST}s
    timeout http-request 30s
    timeout http-keep-alive {KEEP_ALIVE}s
    timeout queue 10s
    # A client that is about to send on an open connection is heard, even by a worker that is being replaced.
    option idle-close-on-response
    option redispatch 1
    retries 3
    http-error status 503 content-type application/json string '{{{{"error":"{_NOBODY}"}}}}'

resolvers engine
    # The name server of the engine: containers keep their names and not their addresses.
    nameserver engine 127.0.0.11:53
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    hold nx 3s
    hold obsolete 3s"""

"""What the proxy is told, and what is read from what it says."""

import pytest

from wf.deployments.proxy import Counts, Target, configuration, read_statistics
from wf.deployments.spec import DeploymentSpec, Probe

BY_NAME = "resolvers engine resolve-prefer ipv4 init-addr last,none"
PLAIN = DeploymentSpec(image="x", port=8000)


def block(config: str, name: str) -> list[str]:
    """The lines of one section, without their indentation."""
    lines = config.splitlines()
    start = lines.index(name) + 1
    end = next((row for row in range(start, len(lines)) if not lines[row].startswith(" ")), len(lines))
    return [line.strip() for line in lines[start:end]]


@pytest.mark.parametrize(
    ("shares", "weights", "balance"),
    [
        ((0.5, 0.5), ("256", "256"), "leastconn"),
        ((1.0, 0.0), ("256", "0"), "leastconn"),
        ((95.0, 5.0), ("256", "13"), "roundrobin"),
        ((100.0, 0.001), ("256", "1"), "roundrobin"),
        ((0.0, 0.0), ("0", "0"), "leastconn"),
    ],
)
def test_shares_become_weights(shares: tuple[float, float], weights: tuple[str, str], balance: str) -> None:
    """The largest has the most that there is; who has any share gets requests, who has none gets none.

    Equal ones get by what they have; where shares differ, turns are taken, since who has nothing would go first.
    """
    config = configuration([Target(name, PLAIN, share) for name, share in zip("ab", shares, strict=True)])

    servers = [line.split() for line in block(config, "backend http") if line.startswith("server ")]
    assert [(each[1], each[2], each[4]) for each in servers] == [
        ("a", "a:8000", weights[0]),
        ("b", "b:8000", weights[1]),
    ]
    assert f"balance {balance}" in block(config, "defaults")


def test_what_is_not_ready_or_not_alive_gets_nothing() -> None:
    """Both paths are asked one after the other, each at its port, and HTTP and gRPC follow that one check."""
    spec = DeploymentSpec(
        image="x",
        port=8501,
        grpc_port=8500,
        readiness=Probe(path="/ready", period=2, timeout=0.5, failures=4),
        liveness=Probe(path="/alive", port=9000),
    )

    config = configuration([Target("a", spec, 1.0)])

    assert block(config, "backend check-a") == [
        "timeout check 500ms",
        "option httpchk",
        "http-check connect port 9000",
        'http-check send meth GET uri "/alive" ver HTTP/1.1 hdr Host localhost',
        "http-check expect status 200-399",
        "http-check connect port 8501",
        'http-check send meth GET uri "/ready" ver HTTP/1.1 hdr Host localhost',
        "http-check expect status 200-399",
        f"server replica a:8501 check inter 2000ms fastinter 300ms downinter 300ms rise 1 fall 4 {BY_NAME}",
    ]
    (rpc,) = block(config, "backend grpc")
    assert rpc.startswith("server a a:8500 proto h2 weight 256 track check-a/replica ")


def test_a_replica_without_probes_is_asked_whether_its_port_is_open() -> None:
    """And without a port for gRPC it is not asked for that."""
    config = configuration([Target("a", PLAIN, 1.0)])

    assert not any("httpchk" in line for line in block(config, "backend check-a"))
    assert block(config, "backend grpc") == []


def test_statistics_are_told_by_replica() -> None:
    """Those of both protocols are put together; a first check that has not ended is no readiness."""
    columns = (
        "pxname,svname,scur,econ,eresp,wretr,status,check_status,check_code,"
        "hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,rtime"
    )
    rows = [
        "check-a,replica,,,,,UP,L7OK,200,,,,,,,",
        "check-b,replica,,,,,UP 1/2,INI,,,,,,,,",
        "check-c,replica,,,,,DOWN,L4CON,,,,,,,,",
        "http,a,2,1,2,4,UP,,,0,10,1,2,3,0,10",
        "grpc,a,1,0,1,0,UP,,,0,4,0,0,0,0,30",
        "http,BACKEND,9,9,9,9,UP,,,9,9,9,9,9,9,9",
    ]

    counts = read_statistics("\n".join([f"# {columns}", *rows, ""]))

    assert counts == {
        "a": Counts(is_up=True, is_ready=True, requests=24, errors=11, waiting=3, seconds=0.014, state="UP L7OK 200"),
        "b": Counts(is_up=True, is_ready=False, state="UP 1/2 INI"),
        "c": Counts(is_up=False, is_ready=False, state="DOWN L4CON"),
    }


def test_a_proxy_that_does_not_answer_says_nothing() -> None:
    """What the shell prints then is no table."""
    assert read_statistics("bash: connect: Connection refused\n") == {}

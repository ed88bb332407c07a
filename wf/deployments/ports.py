"""Ports of this machine for deployments."""

import socket
from collections.abc import Collection
from typing import Final

from wf.errors import EnvironmentProblem

FIRST: Final = 18500
_COUNT = 1000


def free_ports(taken: Collection[int], wanted: int | None) -> tuple[int, int]:
    """One for HTTP, which may be asked for, and one for gRPC.

    Args:
        taken: those of other deployments, whether they listen or not.
        wanted: the one for HTTP, or nothing for any.

    Raises:
        EnvironmentProblem: the wanted port is taken, or all are.
    """
    if wanted is not None and (wanted in taken or not _is_free(wanted)):
        raise EnvironmentProblem(f"port {wanted} of this machine is taken", hint="Without --port, a free one is found.")
    candidates = (port for port in range(FIRST, FIRST + _COUNT) if port not in {*taken, wanted})
    free = (port for port in candidates if _is_free(port))
    try:
        return wanted or next(free), next(free)
    except StopIteration:
        raise EnvironmentProblem(f"no port from {FIRST} to {FIRST + _COUNT - 1} is free") from None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""A process that watches a replica from inside of its container, and ends it when its liveness probe fails. Pure.

The engine starts again what has ended, also when no `wf` runs and after its own restart; nothing needs to command the
engine. The watcher is a shell in a static program that is put into the container, since an image may have neither.
"""

import math
import shlex
from collections.abc import Sequence
from typing import Final

from wf.deployments.spec import Probe

IMAGE: Final = "busybox:stable"
PROGRAM: Final = "/bin/busybox"
"""Where a static busybox is in that image."""
PLACE: Final = "/busybox-wf"
"""Where it is put in a replica."""
GRACE: Final = 10
"""Seconds that a replica has to end by itself."""


def watched(command: Sequence[str], probe: Probe, port: int, patience: float) -> tuple[str, ...]:
    """A command that runs another one in its own place, with a watcher beside it.

    Args:
        command: what the container would run: entrypoint and arguments.
        probe: how to ask it whether it lives.
        port: the deployment's port.
        patience: seconds that it has until its first answer counts as missing, as when it starts.
    """
    timings = (patience, probe.initial_delay, probe.period, probe.failures, GRACE)
    check = shlex.join([PLACE, "timeout", str(math.ceil(probe.timeout)), *_check(probe, port)])
    return (PLACE, "sh", "-c", _SCRIPT, "wf", check, *(f"{each:g}" for each in timings), *command)


def _check(probe: Probe, port: int) -> tuple[str, ...]:
    if probe.command:
        return probe.command
    if probe.path is not None:
        return (
            PLACE,
            "wget",
            "-q",
            "-Y",
            "off",
            "-O",
            "/dev/null",
            f"http://127.0.0.1:{probe.port or port}{probe.path}",
        )
    return (PLACE, "nc", "127.0.0.1", str(probe.port or port), "-e", PLACE, "true")


_SCRIPT = f"""\
replica=$$ check=$1 patience=$2 delay=$3 period=$4 failures=$5 grace=$6
shift 6
now() {{ {PLACE} date +%s; }}
lives() {{ eval "$check" </dev/null >/dev/null 2>&1; }}
watch() {{
    {PLACE} sleep "$delay"
    end=$(($(now) + ${{patience%.*}}))
    until lives || [ "$(now)" -ge "$end" ]; do {PLACE} sleep 1; done
    failed=0
    while [ "$failed" -lt "$failures" ]; do
        {PLACE} sleep "$period"
        if lives; then failed=0; else failed=$((failed + 1)); fi
    done
    echo "wf: the liveness probe failed $failures times in a row: this replica is ended" >&2
    kill -TERM "$replica"
    {PLACE} sleep "$grace"
    kill -KILL "$replica"
}}
(watch &)
exec "$@"
"""
"""The watcher is nobody's child but the first process's, so that a program which waits for children sees its own.

All processes of a container end with the one that was its command.
"""

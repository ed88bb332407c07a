"""The order of jobs by their needs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter


def find_cycle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Jobs that need one another in a ring, the first repeated at the end; empty where there is no ring."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1]
        return ring[::-1]
    return []


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """All jobs, each after the jobs that it needs, and otherwise in the order of the file."""
    return [name for layer in layers(needs) for name in layer]


def layers(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Jobs by the length of the longest chain above them, in the order of the file within a layer."""
    depth: dict[str, int] = {}
    for name in TopologicalSorter(needs).static_order():
        depth[name] = 1 + max((depth[need] for need in needs[name]), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in needs:
        rows[depth[name]].append(name)
    return rows


def waits_for(needs: Mapping[str, Sequence[str]], job: str, others: Collection[str]) -> bool:
    """Whether a job waits for one of the others, directly or through more jobs."""
    return any(ancestor in others for ancestor in ancestors(needs, job))


def ancestors(needs: Mapping[str, Sequence[str]], job: str) -> Iterator[str]:
    """All jobs that a job waits for, those that it needs itself first."""
    seen: set[str] = set()
    waiting = [job]
    while waiting:
        for need in needs[waiting.pop()]:
            if need not in seen:
                yield need
                seen.add(need)
                waiting.append(need)

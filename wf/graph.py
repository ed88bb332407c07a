"""The order of jobs by their needs."""

from collections import defaultdict
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
    """The jobs, each after the jobs that it needs, and otherwise in the order of the file; see `layers`."""
    return [name for layer in layers(needs) for name in layer]


def layers(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Jobs by the length of the longest chain above them, in the order of the file within a layer.

    Those in a ring, and those that need them, are left out.
    """
    position = {name: index for index, name in enumerate(needs)}
    missing = {name: len(own) for name, own in needs.items()}
    needed_by = defaultdict(list)
    for name, own in needs.items():
        for need in own:
            needed_by[need].append(name)
    rows: list[list[str]] = []
    row = [name for name, count in missing.items() if count == 0]
    while row:
        rows.append(row)
        below = []
        for name in row:
            for other in needed_by[name]:
                missing[other] -= 1
                if missing[other] == 0:
                    below.append(other)
        row = sorted(below, key=position.__getitem__)
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

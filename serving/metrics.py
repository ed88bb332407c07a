"""What is counted, under TensorFlow Serving's names, and as Prometheus reads it."""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from serving.errors import Code

_PREFIX: Final = ":tensorflow:serving:"
BOUNDS: Final = tuple(10 * 1.8**power for power in range(33))
"""Upper ends of the buckets of latencies in microseconds, TensorFlow Serving's."""
REMEMBERED_SECONDS: Final = 300

Labels = tuple[str, ...]


def _no_values() -> list[int]:
    return [0] * (len(BOUNDS) + 1)


@dataclass(slots=True)
class Histogram:
    """How many values fell into each bucket, the last one being without an end."""

    buckets: list[int] = field(default_factory=_no_values)
    total: float = 0.0

    def add(self, micros: float) -> None:
        """Count one value."""
        self.buckets[bisect_left(BOUNDS, micros)] += 1
        self.total += micros

    def merge(self, buckets: Sequence[int], total: float = 0.0) -> None:
        """Count the values of another one."""
        self.buckets = [a + b for a, b in zip(self.buckets, buckets, strict=True)]
        self.total += total

    def quantile(self, part: float) -> float:
        """The upper end of the bucket that holds this quantile; 0 without values."""
        wanted = part * sum(self.buckets)
        seen = 0
        for count, bound in zip(self.buckets, (*BOUNDS, BOUNDS[-1]), strict=True):
            seen += count
            if wanted and seen >= wanted:
                return bound
        return 0.0


@dataclass(slots=True)
class _Answered:
    latency: Histogram = field(default_factory=Histogram)
    rows: int = 0


@dataclass(slots=True)
class _Second:
    second: int = -1
    buckets: list[int] = field(default_factory=_no_values)
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Recent:
    """The requests of the last seconds."""

    per_second: float
    errors: int
    p50_ms: float
    p99_ms: float


class Metrics:
    """Everything that is counted. Counting is cheap and may happen in any thread; a race may lose a count."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._answered: dict[tuple[str, str, str, Code], _Answered] = defaultdict(_Answered)
        """Model, interface, method, code -> what was answered so."""
        self._runtime: dict[Labels, Histogram] = defaultdict(Histogram)
        self._seconds = [_Second() for _ in range(REMEMBERED_SECONDS)]

    def request(self, model: str, api: str, entrypoint: str, code: Code, seconds: float, rows: int) -> None:
        """One request was answered. `model` is empty where no model of that name is served."""
        micros = seconds * 1e6
        bucket = bisect_left(BOUNDS, micros)
        answered = self._answered[model, api, entrypoint, code]
        answered.rows += rows
        answered.latency.total += micros
        answered.latency.buckets[bucket] += 1
        now = int(self._clock())
        slot = self._seconds[now % REMEMBERED_SECONDS]
        if slot.second != now:
            slot.second, slot.buckets, slot.errors = now, _no_values(), 0
        slot.buckets[bucket] += 1
        if code is not Code.OK:
            slot.errors += 1

    def runtime(self, model: str, engine: str, seconds: float) -> None:
        """An engine computed one batch."""
        self._runtime[model, "Predict", engine].add(seconds * 1e6)

    def recent(self, seconds: int = 60) -> Recent:
        """What the last whole seconds were like, at most `REMEMBERED_SECONDS`."""
        now = int(self._clock())
        slots = [slot for slot in self._seconds if now - seconds <= slot.second < now]
        merged = Histogram()
        for slot in slots:
            merged.merge(slot.buckets)
        return Recent(
            per_second=sum(merged.buckets) / seconds,
            errors=sum(slot.errors for slot in slots),
            p50_ms=merged.quantile(0.5) / 1000,
            p99_ms=merged.quantile(0.99) / 1000,
        )

    def rates(self) -> list[int]:
        """How many requests were answered in each of the last `REMEMBERED_SECONDS`, the oldest first."""
        now = int(self._clock())
        counts = {slot.second: sum(slot.buckets) for slot in self._seconds}
        return [counts.get(second, 0) for second in range(now - REMEMBERED_SECONDS, now)]

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        requests: dict[Labels, int] = defaultdict(int)
        examples: dict[Labels, int] = defaultdict(int)
        latency: dict[Labels, Histogram] = defaultdict(Histogram)
        for (model, api, entrypoint, code), answered in self._answered.items():
            requests[model, code.name] += sum(answered.latency.buckets)
            examples[(model,)] += answered.rows
            latency[model, api, entrypoint].merge(answered.latency.buckets, answered.latency.total)
        lines: list[str] = []
        _counter(lines, "request_count", ("model_name", "status"), requests)
        _counter(lines, "request_example_count_total", ("model",), examples)
        _histogram(lines, "request_latency", ("model_name", "API", "entrypoint"), latency)
        _histogram(lines, "runtime_latency", ("model_name", "API", "runtime"), self._runtime)
        return "".join(f"{line}\n" for line in lines).encode()


def _counter(lines: list[str], name: str, labels: Labels, counts: Mapping[Labels, int]) -> None:
    lines.append(f"# TYPE {_PREFIX}{name} counter")
    lines.extend(f"{_PREFIX}{name}{{{_labels(labels, values)}}} {count}" for values, count in sorted(counts.items()))


def _histogram(lines: list[str], name: str, labels: Labels, found: Mapping[Labels, Histogram]) -> None:
    lines.append(f"# TYPE {_PREFIX}{name} histogram")
    for values, histogram in sorted(found.items()):
        own = _labels(labels, values)
        for bound, count in _cumulative(histogram):
            lines.append(f'{_PREFIX}{name}_bucket{{{own},le="{bound}"}} {count}')
        lines.append(f"{_PREFIX}{name}_sum{{{own}}} {histogram.total:.0f}")
        lines.append(f"{_PREFIX}{name}_count{{{own}}} {sum(histogram.buckets)}")


def _cumulative(histogram: Histogram) -> Iterator[tuple[str, int]]:
    seen = 0
    for bound, count in zip((*map("{:g}".format, BOUNDS), "+Inf"), histogram.buckets, strict=True):
        seen += count
        yield bound, seen


def _labels(names: Labels, values: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""Pulling images: with the accounts that the project has, and telling how far it is without flooding anyone."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wf.backends.engine import reporting
from wf.errors import EnvironmentProblem
from wf.registries import Registries

SECONDS_BETWEEN_LINES = 0.5


def pull(client: Any, ref: str, registries: Registries, preferred: Sequence[str] = ()) -> Iterator[str]:
    """Pull an image, telling how far it is.

    Every account that the project has at the image's registry is tried, the preferred ones first, then what Docker's
    own configuration says.

    Raises:
        EnvironmentProblem: what the registry said to the first try.
    """
    failures: list[EnvironmentProblem] = []
    for login in [*registries.for_image(ref, preferred), None]:
        account = {"username": login.username, "password": login.password} if login else None
        try:
            yield from _pull_as(client, ref, account)
            return
        except EnvironmentProblem as failure:
            tried = f" (as `{login.name}`)" if login else ""
            hint = _hint(str(failure), preferred) or failure.hint
            failures.append(EnvironmentProblem(f"{failure}{tried}", hint=hint))
    raise failures[0]


def _pull_as(client: Any, ref: str, account: dict[str, str] | None) -> Iterator[str]:
    # Without a tag the SDK would pull every tag there is.
    named = ref if ":" in ref.rpartition("/")[2] or "@" in ref else f"{ref}:latest"
    failure = f"image `{ref}` is not in the engine and cannot be pulled"
    progress = Progress()
    with reporting(failure):
        for message in client.pull(named, stream=True, decode=True, auth_config=account):
            if error := message.get("error"):
                raise EnvironmentProblem(f"{failure}: {error}")
            if line := progress.follow(message, time.monotonic()):
                yield line


def _hint(error: str, names: Sequence[str]) -> str:
    denied = any(word in error for word in ("denied", "unauthorized", "authentication", "no basic auth"))
    return (
        f"If it is private: `wf registry login {next(iter(names), 'NAME')}` keeps an account for it." if denied else ""
    )


@dataclass
class Progress:
    """What the engine tells of every layer, summed up in a line now and then."""

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Layer -> bytes that are here, and in all."""
    layers: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    told: float = 0.0

    def follow(self, message: dict[str, Any], now: float) -> str:
        """A line to show, or nothing."""
        status, layer = message.get("status", ""), message.get("id", "")
        if not layer or status.startswith("Pulling from"):
            return f"{layer}: {status}" if layer else status
        self.layers.add(layer)
        detail = message.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self.sizes[layer] = detail["current"], detail["total"]
        elif status in ("Download complete", "Pull complete") and layer in self.sizes:
            self.sizes[layer] = self.sizes[layer][1], self.sizes[layer][1]
        if status in ("Pull complete", "Already exists"):
            self.done.add(layer)
        if now - self.told < SECONDS_BETWEEN_LINES:
            return ""
        self.told = now
        here, total = (sum(each) for each in zip(*self.sizes.values(), strict=True)) if self.sizes else (0, 0)
        amount = f", {100 * here // total}% of {total / (1 << 20):.0f} MiB" if total else ""
        return f"{len(self.done)} of {len(self.layers)} layers{amount}"

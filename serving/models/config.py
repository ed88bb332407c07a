"""What is to be served: the models, where their versions lie, and which of these are wanted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which of the versions in a model's folder are served."""

    latest: int | None = 1
    """This many of the newest; `None` for all, unless `specific` names some."""
    specific: frozenset[int] = frozenset()

    def choose(self, found: Iterable[int]) -> set[int]:
        """The versions to serve among those found."""
        if self.specific:
            return set(found) & self.specific
        return set(sorted(found, reverse=True)[: self.latest])


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model: `base_path` holds a folder for each version, named by its number."""

    name: str
    base_path: Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidArgument("a model in the configuration has no name")
        if self.policy.latest is not None and self.policy.latest < 1:
            raise InvalidArgument(f"model {self.name}: num_versions must be at least 1")

    def versions_on_disk(self) -> dict[int, Path]:
        """The versions that are there, whatever the policy."""
        try:
            entries = list(self.base_path.iterdir())
        except OSError:
            return {}
        return {int(entry.name): entry for entry in entries if entry.name.isascii() and entry.name.isdigit()}


def by_name(models: Iterable[ModelConfig]) -> dict[str, ModelConfig]:
    """The models by their names.

    Raises:
        InvalidArgument: two have the same.
    """
    found: dict[str, ModelConfig] = {}
    for model in models:
        if model.name in found:
            raise InvalidArgument(
                f"Illegal to list model {model.name} multiple times in config list. Please rename or remove one of "
                "the entries"
            )
        found[model.name] = model
    return found

"""Ask a deployment for ratings, as any client of TensorFlow Serving's REST API would."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from wf.deployments.mounts import serving_folder
from wf.deployments.rows import UNDESCRIBED, Described, Rated, Row
from wf.deployments.spec import Deployment, DeploymentSpec
from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem

BATCH: Final = 1000
"""Rows of one request."""
TITLES: Final = "titles.json"
"""A file in an exported model: the titles that it knows."""

_SECONDS = 60
_SIGNATURE = "serving_default"
WITH_HISTORY: Final = "with_history"
"""The signature of models that can be told what a user has rated."""
_HISTORY = ("history_titles", "history_ratings", "history_timestamps")
HOW_TO_TELL: Final = "Without --rated it knows users by their ids. `--set model=history` trains one that takes ratings."
WITH_DEMOGRAPHICS: Final = "with_demographics"
"""The signature of models that can be told who a user is."""
HOW_TO_DESCRIBE: Final = (
    "It has not learned from ages, genders and occupations. A training with `features: [genres, year, demographics]` "
    "of a model `dcn` or `ranking` does, where the data has them."
)
_WHOLE = ("DT_INT64", "DT_INT32")
_INPUTS: Final = {
    "user": ("user_id", "user"),
    "movie": ("movie_title", "title", "movie", "movie_id", "item_id", "item"),
    "timestamp": ("timestamp", "time"),
}
"""What inputs of a signature may be called."""


class Client(Struct, frozen=True):
    """One signature of a served model, asked about users whom it knows, or about one who has rated or is something."""

    address: str
    """`HOST:PORT`"""
    model: str
    inputs: Mapping[str, tuple[str, bool]]
    """Input of the signature -> `user`, `movie` or `timestamp`, and whether it is a whole number."""
    signature: str = _SIGNATURE
    rated: tuple[Rated, ...] = ()
    """What the user has rated; the model then knows nothing else of him, and rows need no user."""
    described: Described = UNDESCRIBED
    """Who the user is; what the model has learned of the user's id counts as well."""

    @classmethod
    def connect(
        cls, deployment: Deployment, model: str = "", rated: Sequence[Rated] = (), described: Described = UNDESCRIBED
    ) -> "Client":
        """Ask the deployment what its model takes.

        Raises:
            EnvironmentProblem: it does not answer, takes something that a rating does not have, or cannot be told what
                a user has rated, or who the user is.
        """
        name = model or model_name(deployment.spec)
        wanted, hint = _SIGNATURE, ""
        if rated:
            wanted, hint = WITH_HISTORY, HOW_TO_TELL
        elif described:
            wanted, hint = WITH_DEMOGRAPHICS, HOW_TO_DESCRIBE
        signatures = signatures_of(deployment.endpoint, name)
        require(signatures, name, wanted, hint=hint)
        inputs = {}
        for each, description in signatures[wanted]["inputs"].items():
            if (rated and each in _HISTORY) or (described and each in described.inputs(0)):
                continue
            kind = next((kind for kind, names in _INPUTS.items() if each.lower() in names), None)
            if kind is None:
                raise EnvironmentProblem(f"model `{name}` wants `{each}`, which is neither user, movie nor timestamp")
            inputs[each] = kind, description.get("dtype") in _WHOLE
        return cls(deployment.endpoint, name, inputs, wanted, tuple(rated), described)

    def predict(self, rows: Sequence[Row]) -> list[float]:
        """A rating for each row, in their order."""
        ratings: list[float] = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            now = int(time.time())
            columns: dict[str, list[Any]] = {
                name: [_value(row, *wanted, now) for row in batch] for name, wanted in self.inputs.items()
            }
            if self.rated:
                columns |= {name: [values] * len(batch) for name, values in self._history(now).items()}
            if self.described:
                columns |= self.described.inputs(len(batch))
            body = {"signature_name": self.signature, "inputs": columns}
            told = ask(f"http://{self.address}/v1/models/{self.model}:predict", json.dumps(body).encode())["outputs"]
            ratings += _numbers(next(iter(told.values())) if isinstance(told, dict) else told)
        return ratings

    def _history(self, now: int) -> dict[str, list[Any]]:
        """What the user has rated, as the signature takes it: just now, since nobody says when."""
        values = ([each.movie for each in self.rated], [each.rating for each in self.rated], [now] * len(self.rated))
        return dict(zip(_HISTORY, values, strict=True))


def signatures_of(address: str, model: str) -> Mapping[str, Any]:
    """What each signature of a served model takes and answers, by its name, as TensorFlow Serving tells it."""
    told = ask(f"http://{address}/v1/models/{model}/metadata", None)
    signatures: Mapping[str, Any] = told["metadata"]["signature_def"]["signature_def"]
    return signatures


def require(signatures: Mapping[str, Any], model: str, wanted: str, hint: str) -> None:
    """Raises EnvironmentProblem where the model has no such signature."""
    if wanted not in signatures:
        raise EnvironmentProblem(f"model `{model}` has no signature `{wanted}`", hint=hint)


def model_name(spec: DeploymentSpec) -> str:
    """The name under which a deployment serves its model."""
    flag = "--model_name="
    named = [word.removeprefix(flag) for word in spec.command if word.startswith(flag)]
    if named:
        return named[-1]
    folder = serving_folder(spec.env, spec.command)
    return spec.env.get("MODEL_NAME") or (folder.name if folder else "model")


def titles_of(folders: Sequence[Path]) -> list[str]:
    """The titles that the models in these folders know.

    Raises:
        EnvironmentProblem: none of them says.
    """
    for folder in folders:
        for path in (folder / TITLES, *folder.glob(f"*/{TITLES}"), *folder.glob(f"*/*/{TITLES}")):
            if path.is_file():
                return list(json.loads(path.read_text(encoding="utf-8")))
    hint = "`./steps/export` writes it; export and deploy the model anew."
    raise EnvironmentProblem(f"the model does not say which titles it knows: it has no {TITLES}", hint=hint)


def check_rated(rated: Sequence[Rated], titles: Sequence[str]) -> None:
    """Raises `InvalidWorkflow` for rated movies that the model does not know: it could draw nothing from them."""
    known, problems = set(titles), []
    for each in rated:
        if each.movie not in known:
            near = get_close_matches(each.movie, titles, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else ""
            problems.append(Problem(f"the model does not know the title `{each.movie}`", hint=hint))
    if problems:
        raise InvalidWorkflow(problems)


def _value(row: Row, kind: str, whole: bool, now: int) -> str | int:
    if kind == "timestamp":
        return now if row.timestamp is None else row.timestamp
    text = row.user if kind == "user" else row.movie
    return int(text) if whole and text.lstrip("-").isdecimal() else text


def _numbers(values: Any) -> Iterator[float]:
    """Ratings, which some models give one by one in lists."""
    for value in values:
        yield float(value[0] if isinstance(value, list) else value)


def ask(url: str, body: bytes | None) -> Any:
    """The JSON that a server answers.

    Raises:
        EnvironmentProblem: it does not answer, or with an error.
    """
    try:
        with urllib.request.urlopen(url, body, timeout=_SECONDS) as answer:  # noqa: S310 - always http
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace").strip()
        raise EnvironmentProblem(f"{url} answers {error.code}: {said[:500]}") from error
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(f"{url} does not answer: {error}", hint="`wf deployments get` says more.") from error

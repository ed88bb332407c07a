"""Ask a deployment for a list of titles, and tell why each of them is in it."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from wf.deployments.prediction import (
    HOW_TO_DESCRIBE,
    HOW_TO_TELL,
    WITH_HISTORY,
    ask,
    model_name,
    require,
    signatures_of,
)
from wf.deployments.rows import UNDESCRIBED, Described, Rated
from wf.deployments.spec import Deployment

SIGNATURE: Final = "recommend"
WITH_DEMOGRAPHICS: Final = "recommend_with_demographics"
"""The same of models that can be told who a user is."""
_HOW_TO_GET = "`./steps/export` gives models one; export and deploy the model anew."


class Wish(Struct, frozen=True):
    """Whom a list is for, and what it is to be like."""

    user: str
    rated: Sequence[Rated] = ()
    """What the user has rated besides what the model knows."""
    described: Described = UNDESCRIBED
    """Who the user is."""
    count: int = 10
    exclude: Sequence[str] = ()
    """Titles that are not to be in it."""
    diversity: float = 0.0
    """From 0, the highest scores, to 1, as much variety as there is."""
    per_genre: int = 0
    """How many titles of each genre at most; 0: any number."""


class Recommended(Struct, frozen=True):
    """A title of a list."""

    movie: str
    rating: float
    terms: Mapping[str, float]
    """Parts that add up to the rating, before it is limited to the scale."""
    because: Sequence[tuple[Rated, float]]
    """Ratings of the user that speak for it, and how much each adds to the rating."""

    def why(self) -> str:
        """One line."""
        start, *others = self.terms.items()
        parts = ", ".join([f"{start[0]} {start[1]:.2f}", *(f"{name} {amount:+.2f}" for name, amount in others)])
        rated = ", ".join(f"{each.movie} {each.rating:g} ({amount:+.2f})" for each, amount in self.because)
        return f"because you rated {rated}; {parts}" if rated else parts

    def record(self) -> dict[str, Any]:
        """Everything, for programs."""
        because = [{"movie": each.movie, "rating": each.rating, "adds": amount} for each, amount in self.because]
        return {"movie": self.movie, "rating": self.rating, "terms": dict(self.terms), "because": because}


def recommend(deployment: Deployment, wish: Wish, model: str = "") -> list[Recommended]:
    """The list, best first.

    Raises:
        EnvironmentProblem: the deployment does not answer, or its model cannot do what is asked.
    """
    name = model or model_name(deployment.spec)
    signatures = signatures_of(deployment.endpoint, name)
    require(signatures, name, SIGNATURE, hint=_HOW_TO_GET)
    if wish.rated:
        require(signatures, name, WITH_HISTORY, hint=HOW_TO_TELL)
    inputs, signature = _inputs(wish, int(time.time())), SIGNATURE
    if wish.described:
        require(signatures, name, WITH_DEMOGRAPHICS, hint=HOW_TO_DESCRIBE)
        inputs, signature = inputs | wish.described.inputs(1), WITH_DEMOGRAPHICS
    body = {"signature_name": signature, "inputs": inputs}
    told = ask(f"http://{deployment.endpoint}/v1/models/{name}:predict", json.dumps(body).encode())["outputs"]
    return list(_read(told))


def _inputs(wish: Wish, now: int) -> dict[str, list[Any]]:
    """One row. Lists are never empty, which JSON could not say the shape of."""
    rated = [(each.movie, each.rating, now) for each in wish.rated] or [("", 0.0, now)]
    titles, ratings, times = zip(*rated, strict=True)
    return {
        "user_id": [wish.user],
        "timestamp": [now],
        "history_titles": [titles],
        "history_ratings": [ratings],
        "history_timestamps": [times],
        "exclude_titles": [list(wish.exclude) or [""]],
        "k": [wish.count],
        "diversity": [wish.diversity],
        "per_genre": [wish.per_genre],
    }


def _read(told: Mapping[str, Any]) -> Iterator[Recommended]:
    """The titles of the only row, without the empty places at its end."""
    row = {name: values[0] for name, values in told.items()}
    for place, title in enumerate(row["titles"]):
        if not title:
            return
        columns = [
            row[f"because_{what}"][place] for what in ("titles", "ratings", "amounts") if f"because_{what}" in row
        ]
        yield Recommended(
            movie=title,
            rating=row["ratings"][place],
            terms=dict(zip(row["term_names"], row["terms"][place], strict=True)),
            because=[(Rated(movie, rating), adds) for movie, rating, adds in zip(*columns, strict=True) if movie],
        )

"""What variety costs: accuracy and likeness of lists by the dial and the limits that `rerank` takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.recommender import lists
from steps.recommender.list_requests import ListRequests
from steps.recommender.lists import Pairs, Question, Ranking
from steps.recommender.metrics import Estimate
from steps.recommender.models.base import RatingModel
from steps.recommender.rerank import Titles, Wish, rerank
from steps.recommender.stored_split import StoredSplit, together
from steps.recommender.vocabulary import OOV_ROW, Vocabulary

DIALS: Final = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
LIMITS: Final = (0, 5, 3, 2, 1)
"""Titles of each genre; 0 stands for any number."""
USERS: Final = 200
"""How many users' lists are made for each setting, at most: drawn with a fixed seed."""


@dataclass(frozen=True, slots=True)
class Point:
    """Lists of `lists.LENGTH` titles for one setting, means over users."""

    setting: float
    ndcg: Estimate
    distance: Estimate
    """Between the titles of a list: 1 - cosine, over all pairs."""
    score: float
    """By how much the titles' scores are below those of the best list."""
    coverage: float
    """The share of all titles that is in any list."""
    seen: float
    """The share of places that titles have which the user had rated before."""


@dataclass(frozen=True, slots=True)
class RerankCurves:
    """Points by the dial and by the limit for each genre, and what leaving out the seen changes."""

    judged_on: str
    users: int
    distance_of: Literal["genres", "the model's vectors"]
    by_diversity: Sequence[Point]
    by_limit: Sequence[Point]
    """Empty where titles have no genres."""
    unfiltered: Point
    """The best scores, seen or not."""


def draw_curves(
    split: StoredSplit, model: RatingModel, vocabulary: Vocabulary, genres: npt.NDArray[np.float32], *, seed: int
) -> RerankCurves | None:
    """Curves over users of the last part who had rated something in earlier ones; None where there are none.

    They see what `list_evaluation.judge_lists` sees. `genres` is 0 or 1, [titles, genres].
    """
    requests = _requests(split, vocabulary, seed) if len(split.parts) > 1 else None
    if requests is None:
        return None
    question = requests.question
    vectors = genres if genres.any() else np.asarray(model.title_vectors())
    scores = np.array(requests.scorer(model)(0, question.users), np.float32)
    scores[:, OOV_ROW] = -np.inf
    unseen = scores.copy()
    unseen[question.seen.owner, question.seen.title] = -np.inf
    best = _tops(unseen, Titles(model.title_vectors(), genres), 0.0, 0)

    def point(setting: float, tops: npt.NDArray[np.int32]) -> Point:
        ranking = Ranking(tops, _ranks(tops, question))
        figures = {
            "ndcg": lists.accuracy(ranking, question)[f"ndcg@{lists.LENGTH}"],
            "distance": lists.variety(ranking, question, np.ones(question.titles), vectors)["distance"],
        }
        means = lists.estimates(figures, seed=seed)
        return Point(
            setting=setting,
            ndcg=means["ndcg"],
            distance=means["distance"],
            score=_mean_score(scores, best) - _mean_score(scores, tops),
            coverage=lists.coverage(tops, question.titles),
            seen=_share_of(tops, question.seen),
        )

    titles = Titles(model.title_vectors(), genres)
    return RerankCurves(
        judged_on=split.judged_on,
        users=question.users,
        distance_of="genres" if genres.any() else "the model's vectors",
        by_diversity=[point(dial, _tops(unseen, titles, dial, 0)) for dial in DIALS],
        by_limit=[point(limit, _tops(unseen, titles, 0.0, limit)) for limit in LIMITS] if genres.any() else [],
        unfiltered=point(0.0, _tops(scores, titles, 0.0, 0)),
    )


def _requests(split: StoredSplit, vocabulary: Vocabulary, seed: int) -> ListRequests | None:
    *before, judged_on = split.parts
    rated_before = np.sum([split.ratings[part] for part in before], axis=0)
    owners = np.flatnonzero((split.ratings[judged_on] > 0) & (rated_before > 0))
    if not len(owners):
        return None
    drawn = np.zeros(len(split.owners), np.bool_)
    drawn[np.random.default_rng(seed).permutation(owners)[:USERS]] = True
    encoding = split.encoding(vocabulary)
    rows = {part: encoding.rows(rows) for part, rows in split.of_owners(drawn).items()}
    earlier = together({part: rows[part] for part in before})
    return ListRequests.of(earlier, rows[judged_on], len(vocabulary.titles) + 1)


def _tops(scores: npt.NDArray[np.float32], titles: Titles, diversity: float, limit: int) -> npt.NDArray[np.int32]:
    """A list for each row of scores, [users, `lists.LENGTH`], `OOV_ROW` at the end of shorter ones."""
    wish = Wish(tf.constant(lists.LENGTH), tf.constant(diversity, tf.float32), tf.constant(limit))
    rows = tf.range(scores.shape[1])

    def one(of_user: tf.Tensor) -> tf.Tensor:
        listed = rerank(rows, of_user, titles, wish)
        return tf.ensure_shape(tf.pad(listed, [[0, lists.LENGTH - tf.size(listed)]]), [lists.LENGTH])

    made: npt.NDArray[np.int32] = tf.function(lambda all_of: tf.map_fn(one, all_of, fn_output_signature=tf.int32))(
        tf.constant(scores)
    ).numpy()
    return made


def _ranks(tops: npt.NDArray[np.int32], question: Question) -> npt.NDArray[Any]:
    """The rank of each relevant pair in its user's list; behind everything where it is not in it."""
    listed = tops[question.relevant.owner] == question.relevant.title[:, None]
    return np.where(listed.any(axis=1), listed.argmax(axis=1) + 1, question.titles)


def _mean_score(scores: npt.NDArray[np.float32], tops: npt.NDArray[np.int32]) -> float:
    taken = np.take_along_axis(scores, tops, axis=1)
    return float(taken[tops != OOV_ROW].mean()) if (tops != OOV_ROW).any() else 0.0


def _share_of(tops: npt.NDArray[np.int32], seen: Pairs) -> float:
    known = np.zeros((len(tops), int(max(tops.max(initial=0), seen.title.max(initial=0))) + 1), bool)
    known[seen.owner, seen.title] = True
    return float(np.take_along_axis(known, tops, axis=1)[tops != OOV_ROW].mean()) if (tops != OOV_ROW).any() else 0.0

"""The signature `recommend` of an exported model: a list for each user, with why each title is in it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import tensorflow as tf

from steps.recommender.asked_profiles import DEMOGRAPHICS, AskedProfiles
from steps.recommender.explain import Explanation, pairs
from steps.recommender.features import Features
from steps.recommender.models.history import REMEMBERED
from steps.recommender.rerank import POOL, Titles, Wish, rerank
from steps.recommender.seen import SeenRatings, latest
from steps.recommender.trained_model import TrainedModel
from steps.recommender.vocabulary import OOV_ROW

REASONS: Final = 3
"""How many of the user's ratings are named for each title."""
INPUTS: Final = {
    "user_id": "string",
    "timestamp": "int64",
    "history_titles": "string",
    "history_ratings": "float32",
    "history_timestamps": "int64",
    "exclude_titles": "string",
    "k": "int32",
    "diversity": "float32",
    "per_genre": "int32",
}
"""The inputs, all [rows], a row for each user; what begins with `history_` is [rows, ratings], `exclude_titles`
[rows, titles], both filled up with empty titles. Those of `DEMOGRAPHICS` may come besides."""
OUTPUTS: Final = {
    "titles": "string",
    "scores": "float32",
    "ratings": "float32",
    "term_names": "string",
    "terms": "float32",
    "because_titles": "string",
    "because_ratings": "float32",
    "because_amounts": "float32",
}
"""The outputs, described at `Recommender.recommend`; what begins with `because_` is not there for every model."""
Find = Callable[[Features, Features, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Who asks, the history, and rows of titles to leave out -> the candidates' rows and scores, [rows, candidates], whose
first is the unknown title, and whose score is minus infinity where they are left out."""
MATRICES: Final = frozenset({"history_titles", "history_ratings", "history_timestamps", "exclude_titles"})


class Recommender(tf.Module):  # type: ignore[misc]
    """Ranks all titles for users, leaves out what they have seen, and says why."""

    def __init__(
        self,
        trained: TrainedModel,
        users: tf.lookup.StaticHashTable,
        titles: tf.lookup.StaticHashTable,
        profiles: AskedProfiles | None = None,
        find: Find | None = None,
    ) -> None:
        """`profiles` reads what requests say of who asks; `find` looks for candidates: without it, all titles."""
        super().__init__()
        model = trained.model
        # Functions, not the model: what is an attribute of a module is saved with it.
        self._find = find or partial(_among_all, model.score_titles)
        self._explain = model.explain
        self._rate = model.rate
        self._remembers = model.remembers
        self._scale = trained.scale
        self._users, self._titles, self._profiles = users, titles, profiles
        self._texts = tf.constant(["", *trained.vocabulary.titles])
        self._differences = Titles(model.title_vectors(), trained.basis.titles.genres)
        self._seen = SeenRatings(trained.basis.train, len(trained.vocabulary.users))

    def recommend(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """The outputs of the signature for its `INPUTS`, float32 where nothing else is said.

        `titles` text [rows, most], where `most` is the largest `k`: best first, and empty at the end of shorter lists.
        `scores`, by which they were ranked, and `ratings` as expected, [rows, most]; both 0 for empty titles.
        `term_names` text [rows, terms] and `terms` [rows, most, terms]: parts that add up to the rating before it is
        limited to the scale. Where a term follows from what the user has rated, those ratings that add most, the most
        first: `because_titles` text, `because_ratings` and `because_amounts`, [rows, most, `REASONS`].
        """
        user = self._users.lookup(inputs["user_id"])
        asked = {"user": user, "timestamp": inputs["timestamp"]}
        if self._profiles and "age" in inputs:
            said = (inputs[name] for name in DEMOGRAPHICS)
            asked["profile"] = self._profiles.rows(user, *said)
        stored, given = self._seen.of(user), self._given(inputs)
        history = _joined(latest(stored, REMEMBERED), given) if self._remembers else stored
        excluded = self._titles.lookup(inputs["exclude_titles"])
        left_out = [_known_titles(stored), _known_titles(given), tf.cast(excluded, tf.int32)]
        candidates, scores = self._find(asked, history, tf.concat(left_out, axis=1))
        places = self._lists(candidates, scores, inputs)
        rows = tf.gather(candidates, places, batch_dims=1)
        explanation = self._explain(asked, rows, history)
        there = tf.cast(rows != OOV_ROW, tf.float32)
        answered = {
            "titles": tf.gather(self._texts, rows),
            "scores": tf.where(there > 0, tf.gather(scores, places, batch_dims=1), 0.0),
            "ratings": self._ratings(asked, rows, explanation) * there,
            "term_names": tf.tile(tf.constant([list(explanation.terms)]), [tf.shape(user)[0], 1]),
            "terms": tf.stack(list(explanation.terms.values()), axis=2) * there[:, :, None],
        }
        return answered | self._reasons(explanation, history, there)

    def _given(self, inputs: dict[str, tf.Tensor]) -> Features:
        return {
            "title": tf.cast(self._titles.lookup(inputs["history_titles"]), tf.int32),
            "rating": inputs["history_ratings"],
            "timestamp": inputs["history_timestamps"],
            "known": tf.cast(inputs["history_titles"] != "", tf.float32),
        }

    def _lists(self, candidates: tf.Tensor, scores: tf.Tensor, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Places of the candidates, [rows, most]; 0, that of the unknown title, at the end of shorter lists."""
        longest = min(POOL, self._texts.shape[0] - 1)
        counts = tf.clip_by_value(inputs["k"], 0, longest)
        most = tf.reduce_max(tf.concat([counts, [0]], axis=0))
        diversity = tf.where(inputs["diversity"] > 0, tf.minimum(inputs["diversity"], 1.0), 0.0)  # of NaN too

        def one(row: Sequence[tf.Tensor]) -> tf.Tensor:
            listed = rerank(row[0], row[1], self._differences, Wish(*row[2:]))
            return tf.ensure_shape(tf.pad(listed, [[0, longest - tf.size(listed)]]), [longest])

        # Of one length that is known beforehand, since there may be no rows at all.
        wishes = (counts, diversity, inputs["per_genre"])
        listed = tf.map_fn(one, (candidates, scores, *wishes), fn_output_signature=tf.int32)
        return listed[:, :most]

    def _ratings(self, asked: Features, rows: tf.Tensor, explanation: Explanation) -> tf.Tensor:
        if self._remembers:  # the parts are those of its sum
            return tf.clip_by_value(explanation.total(), self._scale.minimum, self._scale.maximum)
        return tf.reshape(self._rate(pairs(asked, rows)), tf.shape(rows))

    def _reasons(self, explanation: Explanation, history: Features, there: tf.Tensor) -> dict[str, tf.Tensor]:
        if explanation.reasons is None:
            return {}
        rows, most = tf.shape(explanation.reasons)[0], tf.shape(explanation.reasons)[1]
        amounts = explanation.reasons * history["known"][:, None, :] * there[:, :, None]
        # So that there are enough to choose from.
        largest, places = tf.math.top_k(tf.pad(amounts, [[0, 0], [0, 0], [0, REASONS]]), REASONS)
        found = largest > 0
        places = tf.where(found, places, 0)

        def chosen(column: tf.Tensor, otherwise: Any) -> tf.Tensor:
            values = tf.gather(column, tf.reshape(places, [rows, most * REASONS]), batch_dims=1)
            return tf.where(found, tf.reshape(values, [rows, most, REASONS]), otherwise)

        return {
            "because_titles": chosen(tf.gather(self._texts, history["title"]), ""),
            "because_ratings": chosen(history["rating"], 0.0),
            "because_amounts": tf.where(found, largest, 0.0),
        }


def _joined(stored: Features, given: Features) -> Features:
    """Both histories; a rating in the request takes the place of one of the same title that was known before."""
    again = (stored["title"][:, :, None] == given["title"][:, None, :]) & (given["known"][:, None, :] > 0)
    still = stored["known"] * tf.cast(~tf.reduce_any(again, axis=2), tf.float32)
    both = {**stored, "known": still}
    return {name: tf.concat([both[name], given[name]], axis=1) for name in both}


def _known_titles(history: Features) -> tf.Tensor:
    return tf.where(history["known"] > 0, history["title"], OOV_ROW)


def _among_all(
    score_titles: Callable[[Features, Features], tf.Tensor], asked: Features, history: Features, left_out: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """All titles' rows and scores, both [rows, titles]."""
    scores = _without(score_titles(asked, history), left_out)
    return tf.broadcast_to(tf.range(tf.shape(scores)[1]), tf.shape(scores)), scores


def _without(scores: tf.Tensor, left_out: tf.Tensor) -> tf.Tensor:
    """The scores, [rows, titles], with minus infinity for the unknown title and those in `left_out`, [rows, some]."""
    rows = tf.repeat(tf.range(tf.shape(scores)[0]), tf.shape(left_out)[1])
    places = tf.stack([rows, tf.reshape(left_out, [-1])], axis=1)
    marked = tf.tensor_scatter_nd_update(tf.zeros_like(scores), places, tf.ones_like(rows, tf.float32))
    # Without anything to leave out there is still the unknown title.
    marked += tf.one_hot(OOV_ROW, tf.shape(scores)[1])
    return tf.where(marked > 0, -float("inf"), scores)

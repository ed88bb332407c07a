"""An index of titles exported with a model: the same signature `recommend`, which looks at some titles and not at all.

It is a SavedModel of its own, because a server without ScaNN's operations could not load one that has them.
"""

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import tensorflow as tf

from steps.entry import StepError
from steps.recommender.features import Features
from steps.recommender.models.base import TwoTowers
from steps.recommender.rerank import POOL
from steps.recommender.retrieval_index import QUERIES, Comparison, Leaves, compare, scann
from steps.recommender.saved_model import RECOMMEND, RatingService
from steps.recommender.trained_model import TrainedModel
from steps.recommender.vocabulary import OOV_ROW

FOLDER: Final = "index"
"""Where the SavedModel lies in that of the model."""
FEWEST: Final = 20_000
"""Titles from which on an index is worth its errors: <https://github.com/google-research/google-research/tree/master/scann>
advises to compare all of fewer."""
MEASURED: Final = 100
"""How many of the best titles `compare` looks for."""


class Index(tf.Module):  # type: ignore[misc]
    """Finds candidates for lists."""

    def __init__(self, model: TwoTowers, layer: Any) -> None:
        """`layer` knows the vectors of all titles but the unknown one."""
        super().__init__()
        self._query = model.query
        self.layer = layer

    def find(self, asked: Features, history: Features, left_out: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `steps.recommender.recommend.Find`."""
        found = self.layer(self._query(asked, history))
        products, places = (tf.ensure_shape(each, [None, None]) for each in found)  # the operation does not say
        rows = tf.cast(places, tf.int32) + OOV_ROW + 1
        out = tf.reduce_any(rows[:, :, None] == left_out[:, None, :], axis=2) | ~tf.math.is_finite(products)
        scores = tf.where(out, -float("inf"), products)
        unknown = tf.zeros_like(rows[:, :1])
        return (
            tf.concat([unknown + OOV_ROW, rows], axis=1),
            tf.concat([tf.cast(unknown, tf.float32) - float("inf"), scores], axis=1),
        )


def export_index(trained: TrainedModel, folder: Path) -> Comparison:
    """Write the SavedModel of a model with two towers into a new folder in `folder`, and measure the index.

    The queries that it is measured with are those of users of the training rows.
    """
    model = trained.model
    vectors = np.asarray(model.candidates())[OOV_ROW + 1 :]
    known = len(trained.vocabulary.users)
    users = np.random.default_rng(0).integers(known, size=QUERIES).astype(np.int32) + OOV_ROW + 1
    moments = np.full(len(users), trained.last_moment, np.int64)
    queries = np.asarray(model.query({"user": tf.constant(users), "timestamp": tf.constant(moments)}))
    measured = min(MEASURED, len(vectors))
    _, comparison = compare(vectors, queries, measured, Leaves.suited_to(len(vectors), measured))
    most = min(POOL, len(vectors))
    index = Index(model, scann(vectors, most, Leaves.suited_to(len(vectors), most)))
    service = RatingService(trained, find=index.find)
    service.index = index  # so that it is saved
    signatures = service.signatures()
    tf.saved_model.save(
        service,
        str(folder / FOLDER),
        signatures={name: signatures[name] for name in RECOMMEND},
        options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"]),
    )
    return comparison


def is_wanted(choice: Literal["auto", "always", "never"], trained: TrainedModel) -> bool:
    """Whether an index is to be exported.

    Raises:
        StepError: always, and there can be none.
    """
    if not isinstance(trained.model, TwoTowers):
        if choice == "always":
            raise StepError(f"`index` is always, and the model {trained.config.model} has no vectors to look up")
        return False
    return choice == "always" or (choice == "auto" and len(trained.vocabulary.titles) >= FEWEST)


def told(found: Comparison) -> str:
    """What was measured, in one sentence."""
    single, batched = found.faster
    return (
        f"index of {found.vectors:,} titles: recall {found.recall:.3f} of the best {found.k}, "
        f"{found.index.single:.2f} ms for one query and {found.index.batched:.2f} ms in batches, {single:.1f} and "
        f"{batched:.1f} times as quick as comparing all"
    )

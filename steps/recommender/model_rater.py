"""A trained model's answers to the rows of a split."""

from collections.abc import Mapping

from steps.recommender.metrics import Floats
from steps.recommender.stored_split import Shard, StoredSplit, parted, together
from steps.recommender.trained_model import TrainedModel


class ModelRater:
    """What a trained model answers, shard by shard; see `evaluation.Rater`."""

    def __init__(self, trained: TrainedModel, split: StoredSplit) -> None:
        self._model = trained.model
        self._described = split.encoding(trained.vocabulary, trained.profiles)
        self._encoding = split.encoding(trained.vocabulary)

    def static(self, shard: Shard) -> Mapping[str, Floats]:
        """What is answered where everything is frozen where training ends."""
        return {part: self._model.predict_ratings(self._described.rows(rows)) for part, rows in shard.items()}

    def in_turn(self, shard: Shard) -> Mapping[str, Floats]:
        """What is answered to each row when the same user's rows of earlier moments are known."""
        return parted(self._model.predict_in_turn(self._encoding.rows(together(shard))), shard)

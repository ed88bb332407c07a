"""How good a model is on the validation rows, by which epochs and trials are chosen."""

import math
from collections.abc import Iterator

import numpy as np

from steps.recommender import data, lists, metrics
from steps.recommender.config import Metric
from steps.recommender.data import Columns
from steps.recommender.list_requests import ListRequests, compile_scores
from steps.recommender.lists import Floats
from steps.recommender.models import RatingModel
from steps.recommender.training_data import TrainingData


def evaluate(model: RatingModel, columns: Columns) -> float:
    """The RMSE of the model's answers to `columns`."""
    squares = sum(
        data.count_rows(part) * metrics.rmse(part["rating"], model.predict_ratings(part)) ** 2
        for part in data.parts(columns)
    )
    return math.sqrt(squares / data.count_rows(columns))


def validate(model: RatingModel, training_data: TrainingData) -> float:
    """The RMSE of what would be served for the validation rows: with the user's earlier ratings, where models ask."""
    squares = sum(float(np.sum(np.square(errors))) for errors in _errors(model, training_data))
    return math.sqrt(squares / data.count_rows(training_data.validation))


def validate_lists(model: RatingModel, training_data: TrainingData) -> float | None:
    """The mean NDCG@10 of lists for the validation rows' users, new ones too; None of models not chosen by them."""
    return measure(model, training_data, "ndcg@10") if model.chosen_by_lists else None


def measure(model: RatingModel, training_data: TrainingData, metric: Metric) -> float:
    """A figure of the model on the validation rows, of ratings or of lists as in `validate` and `validate_lists`."""
    if metric == "rmse":
        return validate(model, training_data)
    if metric == "mae":
        total = sum(float(np.sum(np.abs(errors))) for errors in _errors(model, training_data))
        return total / data.count_rows(training_data.validation)
    total, users, compiled = 0.0, 0, compile_scores(model)
    for part in data.whole_parts(training_data.validation_in_turn, "owner"):
        earlier, judged = (
            {name: column[rows] for name, column in part.items()} for rows in (~part["judged"], part["judged"])
        )
        requests = ListRequests.of(earlier, judged, model.title_rows, newcomers=True)
        ranking = lists.rank(requests.scorer(model, compiled), requests.question)
        figures = lists.accuracy(ranking, requests.question)[metric]
        total, users = total + float(figures.sum()), users + len(figures)
    return total / users


def _errors(model: RatingModel, training_data: TrainingData) -> Iterator[Floats]:
    """What is answered for the validation rows minus the truth, as many rows at a time as memory should hold."""
    if model.remembers:
        for part in data.whole_parts(training_data.validation_in_turn, "owner"):
            judged = part["judged"]
            yield model.predict_in_turn(part)[judged].astype(np.float64) - part["rating"][judged]
        return
    for part in data.parts(training_data.validation):
        yield model.predict_ratings(part).astype(np.float64) - part["rating"]

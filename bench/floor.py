"""How low a static prediction can get on a split by time: an analysis that reads test rows, and chooses nothing.

    python -m bench.floor SPLIT

`SPLIT` is a folder that the step `split` made. Most of its test rows are by users of whom training knows nothing: for
those an answer is the title's own, whatever the model. *Told by others* gives additive effects of users and titles
what no model can have, the test ratings of all other users; what is left is the error of not knowing the user.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
FOLDS = 20
ROUNDS = 20
USER_DAMPING, TITLE_DAMPING = 10.0, 1.0
"""The best on the validation rows of the article's split."""


class Rows(NamedTuple):
    """Ratings by numbers of users and titles."""

    user: npt.NDArray[np.int64]
    title: npt.NDArray[np.int64]
    rating: Floats

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Rows":
        """Some of the rows."""
        return Rows(self.user[chosen], self.title[chosen], self.rating[chosen])

    def with_rows(self, others: "Rows") -> "Rows":
        """These rows and others."""
        user, title, rating = (np.concatenate(pair) for pair in zip(self, others, strict=True))
        return Rows(user, title, rating)


class Effects(NamedTuple):
    """The mean, and how each user and each title differ from it."""

    mean: float
    users: Floats
    titles: Floats
    unknown: float
    """The mean user's effect, each counted as often as the rows that are theirs."""


def fit(rows: Rows, users: int, titles: int) -> Effects:
    """Damped effects, by turns."""
    mean, of_users, of_titles = float(rows.rating.mean()), np.zeros(users), np.zeros(titles)
    user_rows, title_rows = np.bincount(rows.user, minlength=users), np.bincount(rows.title, minlength=titles)
    for _ in range(ROUNDS):
        left = rows.rating - mean - of_users[rows.user]
        of_titles = np.bincount(rows.title, left, titles) / (title_rows + TITLE_DAMPING)
        left = rows.rating - mean - of_titles[rows.title]
        of_users = np.bincount(rows.user, left, users) / (user_rows + USER_DAMPING)
    return Effects(mean, of_users, of_titles, float(of_users[rows.user].mean()))


def rmse(predicted: Floats, rows: Rows) -> float:
    """Of answers within the scale of 1 to 5."""
    return float(np.sqrt(np.mean(np.square(np.clip(predicted, 1, 5) - rows.rating))))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("split", type=Path)
    frames = {
        part: pl.read_parquet(parser.parse_args().split / f"{part}.parquet") for part in ("train", "validation", "test")
    }
    together = pl.concat(list(frames.values()))
    numbers = {name: together[name].unique().sort() for name in ("user_id", "title")}
    train, validation, test = (_rows(frame, numbers) for frame in frames.values())
    users, titles = (len(values) for values in numbers.values())
    known = np.isin(np.arange(users), train.user)

    def answers(asked: Rows, frozen: Effects, told: Effects) -> Floats:
        of_users = np.where(known, frozen.users, told.unknown)
        return told.mean + of_users[asked.user] + told.titles[asked.title]

    learned = fit(train, users, titles)
    fold = np.random.default_rng(0).integers(0, FOLDS, users)[test.user]
    print(f"{1 - known[test.user].mean():.0%} of the test rows are by users without a training row")
    print("| titles told by | test RMSE |\n| --- | --- |")
    print(f"| training rows | {rmse(answers(test, learned, learned), test):.4f} |")
    for name, basis in (("training rows", train), ("training and validation rows", train.with_rows(validation))):
        predicted = np.zeros(len(test.rating))
        for number in range(FOLDS):
            left_out = fold == number
            told = fit(basis.with_rows(test.where(~left_out)), users, titles)
            predicted[left_out] = answers(test.where(left_out), learned, told)
        print(f"| {name}, and the test rows of other users | {rmse(predicted, test):.4f} |")
        new = ~known[test.user]
        predicted[new] += (test.rating - predicted)[new].mean()
        print(f"| the same, and the mean of the new users given | {rmse(predicted, test):.4f} |")


def _rows(frame: pl.DataFrame, numbers: dict[str, pl.Series]) -> Rows:
    places: dict[str, Any] = {name: values.search_sorted(frame[name]).to_numpy() for name, values in numbers.items()}
    return Rows(places["user_id"], places["title"], frame["rating"].to_numpy().astype(np.float64))


if __name__ == "__main__":
    main()

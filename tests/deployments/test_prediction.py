"""Predictions and recommendations from a real exported model behind the model server."""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.export import main as export
from steps.train import main as train
from tests.serving.running import running
from tests.serving.saved_models import half_plus
from wf.commands import predict
from wf.commands.recommend import add_arguments, execute
from wf.deployments import service
from wf.deployments.prediction import Client, check_rated
from wf.deployments.recommendation import Recommended, Wish, recommend
from wf.deployments.rows import Described, Rated, Row, read_rated
from wf.deployments.spec import Deployment, DeploymentSpec
from wf.errors import EnvironmentProblem, InvalidWorkflow

TITLES = [f"{kind} {number}" for kind in ("Comedy", "Drama") for number in range(8)]


def write_split(folder: Path) -> None:
    """Users of even number like comedies, the others dramas, and all of them like higher numbers a little more."""
    random = np.random.default_rng(1)
    users, titles = random.integers(0, 40, 1500), random.integers(0, len(TITLES), 1500)
    likes = np.where((users % 2 == 0) == (titles < 8), 1.5, -1.5)
    rows = pl.DataFrame(
        {
            "user_id": [str(user) for user in users],
            "item_id": [str(title) for title in titles],
            "title": [TITLES[title] for title in titles],
            "rating": np.clip(np.round(3 + likes + 0.1 * (titles % 8)), 1, 5).astype(np.float32),
            "timestamp": np.arange(len(users), dtype=np.int64) * 1000 + 880_000_000,
        }
    )
    folder.mkdir(parents=True)
    for part, of in (("train", rows[:1200]), ("validation", rows[1200:1350]), ("test", rows[1350:])):
        of.write_parquet(folder / f"{part}.parquet")
    (folder / "dataset.json").write_text(json.dumps({"name": "tastes", "rating_min": 1.0, "rating_max": 5.0}))
    people = pl.DataFrame({"user_id": [str(user) for user in range(40)]}).with_columns(
        age=pl.Series([20 + 30 * (user % 2) for user in range(40)], dtype=pl.Int32),
        gender=pl.Series(["F", "M"] * 20),
        occupation=pl.Series(["artist", "lawyer"] * 20),
    )
    people.write_parquet(folder / "users.parquet")


def exported(folder: Path, model: str, *flags: str) -> Path:
    """A model of the kind that has a version 1 to be served."""
    write_split(folder / "split")
    shared = [f"--inputs-dir={folder}", f"--outputs-dir={folder}"]
    assert train([f"--model={model}", "--epochs=8", "--batch-size=256", "--tracking=off", *flags, *shared]) == 0
    assert export(shared) == 0
    (folder / "served").mkdir()
    return (folder / "saved_model").rename(folder / "served" / "1").parent


def deployment(address: str) -> Deployment:
    """What stands for a deployment that is reached at an address."""
    spec = DeploymentSpec(image="x", env={"MODEL_NAME": "taste"})
    return Deployment("1", "it", spec, 1, "serving", address, None, None, "")


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("history"), "history")


@pytest.fixture(name="served", scope="module")
def _served(folder: Path) -> Iterator[Deployment]:
    with running("--model_name=taste", f"--model_base_path={folder}") as server:
        yield deployment(server.address)


@pytest.fixture(name="described", scope="module")
def _described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A model that has learned who likes what by who they are."""
    flags = ["--features=demographics", "--embedding-size=4", "--layers=16", "--learning-rate=0.03"]
    folder = exported(tmp_path_factory.mktemp("described"), "dcn", *flags)
    with running("--model_name=taste", f"--model_base_path={folder}") as server:
        yield deployment(server.address)


def movies(deployment: Deployment, wish: Wish) -> list[str]:
    """The titles of a list."""
    return [each.movie for each in recommend(deployment, wish)]


def test_a_new_user_with_three_ratings_is_known_by_them(served: Deployment) -> None:
    """What is recommended follows the taste, differs from the popular list, and leaves out what was rated."""
    popular = movies(served, Wish("nobody", count=6))

    def best(liked: str, disliked: str) -> list[str]:
        rated = [Rated(f"{liked} 7", 5), Rated(f"{liked} 2", 5), Rated(f"{disliked} 7", 1)]
        return movies(served, Wish("nobody", rated, count=6))

    comedies, dramas = best("Comedy", "Drama"), best("Drama", "Comedy")

    assert {title.split()[0] for title in comedies} == {"Comedy"}
    assert {title.split()[0] for title in dramas} == {"Drama"}
    assert popular not in (comedies, dramas)
    assert not {"Comedy 7", "Comedy 2"} & set(comedies)


def test_each_title_of_a_list_has_parts_that_add_up(served: Deployment) -> None:
    """And names ratings that speak for it; what a known user has seen is not in the list, nor what is excluded."""
    listed = recommend(served, Wish("nobody", [Rated("Comedy 7", 5), Rated("Drama 1", 4)], exclude=["Comedy 3"]))

    assert not {"Comedy 7", "Drama 1", "Comedy 3"} & {each.movie for each in listed}
    assert all(each.rating == pytest.approx(np.clip(sum(each.terms.values()), 1, 5), abs=1e-5) for each in listed)
    assert listed[0].because[0][0] == Rated("Comedy 7", 5)
    assert len(movies(served, Wish("1", count=50))) < len(movies(served, Wish("nobody", count=50))) == len(TITLES)
    assert set(movies(served, Wish("nobody", diversity=0.9, per_genre=3))) <= set(TITLES)


def test_a_prediction_for_a_new_user_depends_on_the_ratings(served: Deployment) -> None:
    """Also for rows that have a time of their own."""
    rows = [Row("", "Comedy 1"), Row("", "Drama 1", 881_000_000)]

    fond, averse = (
        Client.connect(served, rated=[Rated("Comedy 3", liked), Rated("Drama 3", 6 - liked)]).predict(rows)
        for liked in (5.0, 1.0)
    )

    assert fond[0] > averse[0] + 1
    assert 1 <= min(*fond, *averse) <= max(*fond, *averse) <= 5


def test_the_command_recommends_to_somebody_new(
    served: Deployment, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its answer is what the model server says, best first."""
    monkeypatch.setattr(service.Deployments, "get", lambda *_: served)
    monkeypatch.setattr(service.Deployments, "model_folders", lambda *_: (folder,))
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    execute(parser.parse_args(["it", "--rated", "Drama 7=5", "--rated", "Comedy 7=1", "-k", "2", "--json"]))

    answered = json.loads(capsys.readouterr().out)
    assert [each["movie"].split()[0] for each in answered] == ["Drama", "Drama"]
    assert answered[0]["rating"] >= answered[1]["rating"]
    assert [each["movie"] for each in answered[0]["because"]] == ["Drama 7"]
    execute(parser.parse_args(["it", "--rated", "Drama 7=5", "-k", "1"]))
    assert re.search(
        r"^Drama \d  \d\.\d{3} +because you rated Drama 7 5 \(\+\d\.\d\d\); "
        r"average \d\.\d\d, title [+-]\d\.\d\d, rated \+\d\.\d\d$",
        capsys.readouterr().out,
        flags=re.MULTILINE,
    )
    with pytest.raises(InvalidWorkflow, match=r"^it is not clear to whom$"):
        execute(parser.parse_args(["it"]))
    with pytest.raises(InvalidWorkflow, match=r"^`--diversity` is a share$"):
        execute(parser.parse_args(["it", "--user", "1", "--diversity", "2"]))


def test_somebody_new_is_known_by_who_that_is(
    described: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Age, gender and occupation decide what is predicted and recommended to whom the model has never seen."""
    monkeypatch.setattr(service.Deployments, "get", lambda *_: described)
    parser, predicting = argparse.ArgumentParser(), argparse.ArgumentParser()
    add_arguments(parser)
    predict.add_arguments(predicting)

    def answered(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> Any:
        command(arguments)
        return json.loads(capsys.readouterr().out)

    artist, lawyer = ["--gender", "F", "--occupation", "artist"], ["--age", "50", "--occupation", "lawyer"]
    for flags, kind in ((artist, "Comedy"), (lawyer, "Drama")):
        listed = answered(execute, parser.parse_args(["it", *flags, "-k", "3", "--json"]))
        assert {each["movie"].split()[0] for each in listed} == {kind}
        asked = predicting.parse_args(["it", *flags, "--movie", "Comedy 3", "--movie", "Drama 3", "--json"])
        ratings = {each["movie"].split()[0]: each["rating"] for each in answered(predict.execute, asked)}
        assert max(ratings, key=lambda each: ratings[each]) == kind
    same = ["it", "--user", "1", "--movie", "Drama 3", "--json"]
    own, said = (answered(predict.execute, predicting.parse_args([*same, *flags])) for flags in ([], artist))
    assert own[0]["rating"] > said[0]["rating"]


def test_who_a_user_is_has_to_be_said_well(capsys: pytest.CaptureFixture[str]) -> None:
    """An age is a number of years, and a rating is predicted by one thing or the other."""
    parser = argparse.ArgumentParser(prog="wf predict")
    predict.add_arguments(parser)

    for wrong in ("young", "0", "-3", "151", "3.5"):
        with pytest.raises(SystemExit):
            parser.parse_args(["it", f"--age={wrong}"])
        assert f"error: argument --age: `{wrong}` is not an age in years\n" in capsys.readouterr().err
    with pytest.raises(InvalidWorkflow) as caught:
        predict.execute(parser.parse_args(["it", "--rated", "Drama 1=5", "--gender", "F", "--movie", "Drama 2"]))
    assert [(each.message, each.hint) for each in caught.value.problems] == [
        (
            "a rating is predicted by what a user has rated or by who the user is",
            "leave out `--rated`, or `--age`, `--gender` and `--occupation`",
        )
    ]
    with pytest.raises(InvalidWorkflow) as caught:
        predict.execute(parser.parse_args(["it", "--age", "30"]))
    assert [(each.message, each.hint) for each in caught.value.problems] == [
        (
            "it is not clear what to predict",
            (
                "write `--user ID --movie TITLE`, `--rated TITLE=RATING --movie TITLE`, `--age YEARS --movie TITLE`, "
                "or `--file FILE`"
            ),
        )
    ]


def test_a_model_that_knows_nothing_of_people_says_so(served: Deployment) -> None:
    """And how to get one that does."""
    with pytest.raises(EnvironmentProblem) as predicting:
        Client.connect(served, described=Described(age=30))
    with pytest.raises(EnvironmentProblem) as recommending:
        recommend(served, Wish("nobody", described=Described(gender="F")))

    assert str(predicting.value) == "model `taste` has no signature `with_demographics`"
    assert str(recommending.value) == "model `taste` has no signature `recommend_with_demographics`"
    assert predicting.value.hint == recommending.value.hint
    assert predicting.value.hint == (
        "It has not learned from ages, genders and occupations. A training with "
        "`features: [genres, year, demographics]` of a model `dcn` or `ranking` does, where the data has them."
    )


def test_a_title_says_in_one_line_why_it_is_there() -> None:
    """The ratings that speak for it, where there are any, and the parts of its rating."""
    parts = {"average": 3.5, "title": 0.25, "rated": -0.1}
    because = [(Rated("Vertigo (1958)", 4.5), 0.2), (Rated("Rope (1948)", 5.0), 0.1)]

    assert Recommended("x", 3.65, parts, because).why() == (
        "because you rated Vertigo (1958) 4.5 (+0.20), Rope (1948) 5 (+0.10); average 3.50, title +0.25, rated -0.10"
    )
    assert Recommended("x", 3.65, parts, []).why() == "average 3.50, title +0.25, rated -0.10"


def test_what_was_rated_has_to_be_known() -> None:
    """A title with a mistake would silently count for nothing."""
    with pytest.raises(InvalidWorkflow) as caught:
        check_rated([Rated("Comdy 1", 5), Rated("Drama 1", 5)], TITLES)

    assert [(each.message, each.hint) for each in caught.value.problems] == [
        ("the model does not know the title `Comdy 1`", "Did you mean `Comedy 1`?")
    ]


def test_a_rating_is_read_with_its_title() -> None:
    """The last `=` counts; a rating is a number."""
    assert read_rated("E=mc2 (2005)=4.5") == Rated("E=mc2 (2005)", 4.5)
    for wrong in ("Toy Story", "=5", "Toy Story=nan", "Toy Story=good"):
        with pytest.raises(ValueError, match=r"."):
            read_rated(wrong)


def test_a_model_that_cannot_be_told_says_so(tmp_path: Path) -> None:
    """And how to get one that can."""
    half_plus(tmp_path / "1", 2.0)
    with (
        running("--model_name=taste", f"--model_base_path={tmp_path}") as server,
        pytest.raises(EnvironmentProblem) as caught,
    ):
        Client.connect(deployment(server.address), rated=[Rated("Drama 1", 5)])

    assert str(caught.value) == "model `taste` has no signature `with_history`"
    assert caught.value.hint == (
        "Without --rated it knows users by their ids. `--set model=history` trains one that takes ratings."
    )


def test_a_model_that_cannot_recommend_says_so(tmp_path: Path) -> None:
    """Such as one that was exported by something else."""
    half_plus(tmp_path / "1", 2.0)
    with (
        running("--model_name=taste", f"--model_base_path={tmp_path}") as server,
        pytest.raises(EnvironmentProblem, match=r"^model `taste` has no signature `recommend`$"),
    ):
        recommend(deployment(server.address), Wish("1"))

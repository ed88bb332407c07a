"""The main job, for real: workflows/train-model.yaml on all 100,000 ratings, in Docker and as processes."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.projects import REPOSITORY

LOAD = """
import json, sys
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
rows = [("587", "Devils Advocate, The (1997)", 892870992), ("nobody", "No Such Film (2099)", 892870992)]
users, titles, times = zip(*rows)
ratings = serve(
    user_id=tf.constant(users), movie_title=tf.constant(titles), timestamp=tf.constant(times, tf.int64)
)["rating"]
print(json.dumps({"ratings": ratings.numpy().ravel().tolist(), "keras": "tf_keras" in sys.modules}))
"""


def train(project: Path, backend: str, *settings: str) -> dict[str, Any]:
    """Run the workflow in a copy of this project, as a user would; the run as `wf show --json` tells it."""
    if not project.exists():
        shutil.copytree(REPOSITORY, project, ignore=shutil.ignore_patterns(".*", "tests", "docs"))
        (project / ".wf").mkdir()
    wf = [sys.executable, "-m", "wf"]
    chosen = ["--no-cache", *(word for setting in settings for word in ("--set", setting))]
    ended = subprocess.run(
        [*wf, "run", "workflows/train-model.yaml", "--backend", backend, "--output", "plain", *chosen],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shown = subprocess.run([*wf, "show", "--json"], cwd=project, capture_output=True, text=True, check=True)
    run: dict[str, Any] = json.loads(shown.stdout)
    run["printed"] = ended.stdout
    return run


def job(run: dict[str, Any], name: str) -> dict[str, Any]:
    """One job of a run."""
    return next(each for each in run["jobs"] if each["name"] == name)


def output(run: dict[str, Any], job_name: str, name: str) -> Path:
    """Where an output of a job lies."""
    return Path(next(each["path"] for each in job(run, job_name)["outputs"] if each["name"] == name))


@pytest.fixture(name="project", scope="module")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train") / "wf"


@pytest.fixture(name="docker_run", scope="module")
def _docker_run(project: Path) -> dict[str, Any]:
    return train(project, "docker", "epochs=3")


@pytest.fixture(name="process_run", scope="module")
def _process_run(project: Path) -> dict[str, Any]:
    return train(project, "process", "epochs=3")


def check(run: dict[str, Any]) -> None:
    """What must hold on either backend."""
    assert run["state"] == "succeeded"
    assert [(each["name"], each["state"]) for each in run["jobs"]] == [
        (name, "succeeded") for name in ("Ingest", "Clean", "Split", "Train", "Evaluate", "Export")
    ]
    assert job(run, "Clean")["metrics"] == {"rows_in": 100_000, "rows_dropped": 0, "rows_out": 100_000}
    assert job(run, "Split")["metrics"] == {"train_rows": 65_336, "validation_rows": 15_778, "test_rows": 18_886}
    assert 0.9 < job(run, "Evaluate")["metrics"]["test_rmse"] < 1.3
    assert round(job(run, "Evaluate")["metrics"]["test_best_baseline_rmse"], 3) == 1.025
    assert list(output(run, "Train", "tracking").glob("*.zip"))
    assert "<html" in (output(run, "Evaluate", "report") / "report.html").read_text()


def ratings_of(saved_model: Path) -> list[float]:
    """What the exported model answers in a fresh process that knows TensorFlow only."""
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, str(saved_model)],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={name: value for name, value in os.environ.items() if not name.startswith("TF_")},
    )
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert not answer["keras"]
    ratings: list[float] = answer["ratings"]
    return ratings


@pytest.mark.docker
def test_training_runs_in_docker(docker_run: dict[str, Any]) -> None:
    """Real containers turn all ratings into an evaluated model."""
    check(docker_run)
    assert docker_run["backend"] == "docker"


@pytest.mark.docker
@pytest.mark.usefixtures("docker_run")
def test_everything_that_docker_leaves_belongs_to_the_caller(project: Path) -> None:
    """No file of another user, and no container, is left."""
    owners = {path.lstat().st_uid for path in (project / ".wf").rglob("*")}
    label = f"label=wf.project={hashlib.sha256(os.fsencode(project)).hexdigest()[:12]}"
    left = subprocess.run(["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True, check=True)

    assert owners == {os.getuid()}
    assert left.stdout == ""


@pytest.mark.docker
def test_the_example_of_the_document_loads_the_model(docker_run: dict[str, Any], project: Path) -> None:
    """The Python of docs/recommender.md works as it is, where the run has left its outputs."""
    (example,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/recommender.md").read_text(), flags=re.DOTALL)

    ended = subprocess.run(
        [sys.executable, "-c", example.replace("runs/1/", f"runs/{docker_run['id']}/")],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.startswith("tf.Tensor(")


@pytest.mark.docker
def test_the_exported_model_answers_with_plain_tensorflow(docker_run: dict[str, Any]) -> None:
    """Known and unknown users and titles get a rating on the data's scale."""
    ratings = ratings_of(output(docker_run, "Export", "saved_model"))

    assert len(ratings) == 2
    assert all(1 <= rating <= 5 for rating in ratings)


def test_training_runs_as_processes(process_run: dict[str, Any]) -> None:
    """Without Docker the same workflow runs in this environment, and says so."""
    check(process_run)
    assert process_run["backend"] == "process"
    assert all(1 <= rating <= 5 for rating in ratings_of(output(process_run, "Export", "saved_model")))


def test_the_same_run_twice_gives_the_same_metrics(process_run: dict[str, Any], project: Path) -> None:
    """Same seed, same machine, same backend: equal to the last digit."""
    again = train(project, "process", "epochs=3")

    def metrics(run: dict[str, Any], name: str) -> dict[str, float]:
        return {key: value for key, value in job(run, name)["metrics"].items() if "seconds" not in key}

    assert metrics(again, "Train") == metrics(process_run, "Train")
    assert metrics(again, "Evaluate") == metrics(process_run, "Evaluate")


@pytest.mark.docker
def test_the_model_is_served_as_the_readme_says(docker_run: dict[str, Any], project: Path) -> None:
    """One workflow more, and the port answers what the exported model does; nothing is left after the deletion."""
    wf = [sys.executable, "-m", "wf"]

    def run(*words: str) -> str:
        ended = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    try:
        told = run(*wf, "run", "workflows/deploy-model.yaml", "--set", "watch=1", "--output", "plain")
        (port,) = re.findall(r"recommender  revision 1  http://127\.0\.0\.1:(\d+)/v1/models/recommender:predict", told)
        readme = (REPOSITORY / "README.md").read_text()
        (curl,) = re.findall(r"^curl .*?:predict", readme, flags=re.DOTALL | re.MULTILINE)
        words = [word.replace(":18500/", f":{port}/") for word in shlex.split(curl)]
        (answer,) = json.loads(run(*words, "--silent"))["predictions"]
        (predicted,) = json.loads(
            run(*wf, "predict", "recommender", "--user", "42", "--movie", "Toy Story (1995)", "--json")
        )
        ranked = json.loads(run(*wf, "recommend", "recommender", "--user", "42", "-k", "10", "--json"))

        assert 1 <= answer <= 5
        assert predicted["rating"] == pytest.approx(answer, abs=1e-4)
        assert [each["rating"] for each in ranked] == sorted((each["rating"] for each in ranked), reverse=True)
        assert len({each["movie"] for each in ranked}) == 10
        assert output(docker_run, "Export", "saved_model").exists()
    finally:
        run(*wf, "deployments", "delete", "recommender", "--yes")
    label = f"label=wf.project={hashlib.sha256(os.fsencode(project)).hexdigest()[:12]}"
    assert run("docker", "ps", "-aq", "--filter", label) == ""

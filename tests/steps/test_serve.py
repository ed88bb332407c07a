"""The model server answers what `steps.export` wrote as the trained models do."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from steps.recommender import saved_model, trained_model
from tests.serving.running import Client, process, wait_until


@pytest.fixture(name="exports", scope="module")
def _exports(inputs: Path, exported: Path, remembering: Path) -> Mapping[str, tuple[Path, Path]]:
    """Name -> the folders of the trained model and of its SavedModel."""
    return {
        "ranking": (inputs / "model", exported),
        "history": (remembering / "model", remembering / "saved_model"),
    }


@pytest.fixture(name="server", scope="module")
def _server(exports: Mapping[str, tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Serves both, in a process of its own."""
    folder = tmp_path_factory.mktemp("served")
    for name, (_, export) in exports.items():
        (folder / name).mkdir()
        (folder / name / "1").symlink_to(export)
    models = " ".join(f'config {{ name: "{name}" base_path: "{folder / name}" }}' for name in exports)
    file = folder / "models.config"
    file.write_text(f"model_config_list {{ {models} }}")
    with process(f"--model_config_file={file}", "--engine=tflite") as (client, _):
        yield client


def test_exports_are_converted(server: Client) -> None:
    """All but what TensorFlow Lite has no operations for: solving equations for a history that is new, making lists."""

    def reasons() -> dict[str, str]:
        return {model["name"]: model["versions"][0]["why"] for model in server.get("/overview.json")[1]["models"]}

    wait_until(lambda: not any("compared yet" in why for why in reasons().values()), 300)

    same = "by tflite, which gave TensorFlow's answers"
    assert all(told.startswith("recommend by TensorFlow (tflite: ") for told in reasons().values())
    assert reasons()["ranking"].endswith(f"), serving_default {same}, without_timestamp {same}")
    assert f"), serving_default {same}, with_history by TensorFlow (tflite: " in reasons()["history"]
    assert reasons()["history"].endswith(f", without_timestamp {same}")


@pytest.mark.parametrize("name", ["ranking", "history"])
def test_exports_are_served_with_the_trained_models_answers(
    name: str, server: Client, exports: Mapping[str, tuple[Path, Path]]
) -> None:
    """Every signature over REST, in rows and in columns; the samples of `export.json` are among what is asked."""
    model, export = exports[name]
    trained = trained_model.load(model)
    description = json.loads((export / "export.json").read_text())
    requests = saved_model.smoke_requests(trained)

    for sample, told in description["smoke_test"]["samples"].items():
        for signature, inputs in saved_model.signatures_of(trained).items():
            columns = {column: requests[sample][column] for column in inputs}
            expected = saved_model.expected_ratings(trained, columns).tolist()
            if signature == "serving_default":
                assert told == {**columns, "rating": expected}
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            for body, answer in (({"instances": rows}, "predictions"), ({"inputs": columns}, "outputs")):
                assert ask(server, name, signature, body)[answer] == pytest.approx(expected, abs=saved_model.TOLERANCE)


def ask(server: Client, name: str, signature: str, body: Any) -> Any:
    """The document that a predict request is answered with."""
    status, answer = server.post(f"/v1/models/{name}:predict", {"signature_name": signature, **body})
    assert status == 200, answer
    return answer

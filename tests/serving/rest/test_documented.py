"""What the page of TensorFlow Serving's REST interface shows, asked of models of the same kind.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from tests.serving.running import Client, running
from tests.serving.saved_models import examples_model, half_plus

SENSORS = "/v1/models/sensors:predict"


def sensors(folder: Path) -> None:
    """Tags with a signal of five numbers and a table of four; also captions of pictures."""

    class Sensors(tf.Module):  # type: ignore[misc]
        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None], tf.string, "tag"),
                tf.TensorSpec([None, 5], tf.int32, "signal"),
                tf.TensorSpec([None, 2, 2], tf.int32, "sensor"),
            ]
        )
        def measure(self, tag: tf.Tensor, signal: tf.Tensor, sensor: tf.Tensor) -> dict[str, tf.Tensor]:
            total = tf.reduce_sum(signal, 1) + tf.reduce_sum(sensor, [1, 2])
            return {"name": tag, "total": total, "turned": tf.transpose(sensor, [0, 2, 1])}

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None], tf.string, "image_bytes"),
                tf.TensorSpec([None], tf.string, "caption"),
            ]
        )
        def caption(self, image_bytes: tf.Tensor, caption: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"caption": caption, "copy_bytes": image_bytes, "size": tf.strings.length(image_bytes)}

    module = Sensors()
    signatures = {"serving_default": module.measure, "caption": module.caption}
    tf.saved_model.save(module, str(folder), signatures=signatures)


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Serves `half_plus_three` with a label, `examples` and `sensors`."""
    folder = tmp_path_factory.mktemp("documented")
    half_plus(folder / "half_plus_three" / "123", 3.0)
    examples_model(folder / "examples" / "1")
    sensors(folder / "sensors" / "1")
    more = {"half_plus_three": 'version_labels { key: "stable" value: 123 }'}
    configs = [
        f'config {{ name: "{path.name}" base_path: "{path}" {more.get(path.name, "")} model_platform: "tensorflow" }}'
        for path in sorted(folder.iterdir())
    ]
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(configs)} }}")
    with running(f"--model_config_file={folder / 'models.config'}") as client:
        yield client


def test_the_status_of_a_model_lists_its_versions(documented: Client) -> None:
    """Of all, or of one."""
    status = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("", "/versions/123", "/labels/stable"):
        assert documented.get(f"/v1/models/half_plus_three{path}") == (200, {"model_version_status": [status]})


def test_half_plus_three(documented: Client) -> None:
    """The latest version, one by its number, one by its label; rows or columns."""
    for place in ("", "/versions/123", "/labels/stable"):
        path = f"/v1/models/half_plus_three{place}:predict"
        assert documented.post(path, {"instances": [1.0, 2.0, 5.0]}) == (200, {"predictions": [3.5, 4.0, 5.5]})
        assert documented.post(path, {"inputs": [1.0, 2.0, 5.0]}) == (200, {"outputs": [3.5, 4.0, 5.5]})


def test_rows_with_values_lists_and_tables(documented: Client) -> None:
    """An object of outputs for each object of inputs."""
    instances = [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
    ]
    predictions = [
        {"name": "foo", "total": 25, "turned": [[1, 3], [2, 4]]},
        {"name": "bar", "total": 38, "turned": [[4, 6], [5, 8]]},
    ]

    assert documented.post(SENSORS, {"signature_name": "serving_default", "instances": instances}) == (
        200,
        {"predictions": predictions},
    )


def test_columns_with_values_lists_and_tables(documented: Client) -> None:
    """An object of inputs, each with all rows."""
    inputs = {
        "tag": ["foo", "bar"],
        "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
        "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
    }
    outputs = {"name": ["foo", "bar"], "total": [25, 38], "turned": [[[1, 3], [2, 4]], [[4, 6], [5, 8]]]}

    assert documented.post(SENSORS, {"inputs": inputs}) == (200, {"outputs": outputs})


def test_pictures_are_base64_both_ways(documented: Client) -> None:
    """Captions are text; an output whose name ends with `_bytes` is not."""
    rows = [{"image_bytes": {"b64": "aW1hZ2UgYnl0ZXM="}, "caption": "seaside"}]

    assert documented.post(SENSORS, {"signature_name": "caption", "instances": rows}) == (
        200,
        {"predictions": [{"caption": "seaside", "copy_bytes": {"b64": "aW1hZ2UgYnl0ZXM="}, "size": 11}]},
    )


def test_examples_are_classified_and_regressed(documented: Client) -> None:
    """With features of their own, and one that they share."""
    examples = {"context": {"y": 3.0}, "examples": [{"x": 1.0}, {"x": [2.0]}]}

    assert documented.post("/v1/models/examples:regress", {"signature_name": "regress", **examples}) == (
        200,
        {"results": [4.0, 5.0]},
    )
    assert documented.post("/v1/models/examples:classify", {"signature_name": "classify", **examples}) == (
        200,
        {"results": [[["low", -4.0], ["high", 4.0]], [["low", -5.0], ["high", 5.0]]]},
    )


def test_an_error_is_an_object(documented: Client) -> None:
    """With its text under `error`."""
    error = "Servable not found for request: Latest(nobody)"

    assert documented.post("/v1/models/nobody:predict", {"instances": [1]}) == (404, {"error": error})

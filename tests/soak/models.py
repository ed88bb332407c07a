"""Small SavedModels of every quality for the model server: good, broken, slow."""

from pathlib import Path

import tensorflow as tf

from tests.serving.saved_models import half_plus
from wf.store import Store

QUESTION = b'{"instances": [1.0]}'


def import_models(store: Store, folder: Path, versions: int) -> None:
    """Datasets `good-N`, whose model answers QUESTION with N + 0.5, and `broken` and `slow`."""
    for number in range(versions + 1):
        half_plus(folder / f"good-{number}", float(number))
        store.datasets.import_path(f"good-{number}", folder / f"good-{number}")
    (folder / "broken").mkdir()
    (folder / "broken" / "saved_model.pb").write_bytes(b"no model")
    store.datasets.import_path("broken", folder / "broken")
    _slow(folder / "slow")
    store.datasets.import_path("slow", folder / "slow")


def answer(number: int) -> str:
    """What `good-N` answers."""
    return f'{{"predictions":[{number + 0.5}]}}'


def _slow(folder: Path) -> None:
    """About a tenth of a second for each request, on a processor with nothing else to do."""

    class Slow(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            matrix = tf.eye(256)
            for _ in tf.range(200):
                matrix = tf.matmul(matrix, matrix)
            return {"y": x / 2 + matrix[0, 0]}

    module = Slow()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)

"""Small SavedModels, made on the spot."""

from pathlib import Path
from typing import Any

import tensorflow as tf


def half_plus(folder: Path, addend: float) -> None:
    """x/2 + addend: the model of TensorFlow Serving's documentation."""

    class HalfPlus(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.half = tf.Variable(0.5)
            self.addend = tf.Variable(addend)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x * self.half + self.addend}

    module = HalfPlus()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)


def echo(folder: Path) -> None:
    """Answers what it was asked, in every type that JSON can hold, alone and together."""
    kinds = {
        "text": tf.string,
        "flag": tf.bool,
        "tiny": tf.int8,
        "byte": tf.uint8,
        "short": tf.int32,
        "long": tf.int64,
        "natural": tf.uint64,
        "single": tf.float32,
        "double": tf.float64,
    }

    class Echo(tf.Module):  # type: ignore[misc]
        def all(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {name: tf.identity(value) for name, value in inputs.items()}

    module = Echo()
    signatures: dict[str, Any] = {}

    def add(signature: str, specs: dict[str, tf.TensorSpec]) -> None:
        signatures[signature] = tf.function(module.all).get_concrete_function(**specs)

    for name, kind in kinds.items():
        add(name, {name: tf.TensorSpec([None], kind, name)})
        add(f"{name}_table", {name: tf.TensorSpec([None, None], kind, name)})
    add("serving_default", {name: tf.TensorSpec([None], kind, name) for name, kind in kinds.items()})
    add("picture_bytes", {"picture_bytes": tf.TensorSpec([None], tf.string, "picture_bytes")})
    add("scalar", {"scalar": tf.TensorSpec([], tf.float32, "scalar")})
    add("pair", {"a": tf.TensorSpec([None], tf.float32, "a"), "b": tf.TensorSpec([None, 2], tf.float32, "b")})
    add("uneven", {"a": tf.TensorSpec([None], tf.float32, "a"), "b": tf.TensorSpec([None], tf.float32, "b")})
    tf.saved_model.save(module, str(folder), signatures=signatures)


def examples_model(folder: Path) -> None:
    """Signatures `classify` and `regress` over tf.Examples with the features x and y, whose sum counts."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        serialized = tf.compat.v1.placeholder(tf.string, [None], "examples")
        feature = tf.io.FixedLenFeature([], tf.float32, 0.0)
        parsed = tf.io.parse_example(serialized, {"x": feature, "y": feature})
        total = parsed["x"] + parsed["y"]
        scores = tf.stack([-total, total], 1)
        classes = tf.tile(tf.constant([["low", "high"]]), [tf.shape(total)[0], 1])
        build = tf.compat.v1.saved_model.build_tensor_info

        def signature(method: str, **outputs: tf.Tensor) -> Any:
            return tf.compat.v1.saved_model.build_signature_def(
                {"inputs": build(serialized)},
                {name: build(value) for name, value in outputs.items()},
                f"tensorflow/serving/{method}",
            )

        builder = tf.compat.v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "classify": signature("classify", classes=classes, scores=scores),
                "regress": signature("regress", outputs=total),
            },
        )
        builder.save()


def slow(folder: Path) -> None:
    """Answers what it was asked, after multiplying large matrices for about a third of a second."""

    class Slow(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            one = tf.fill([500, 500], tf.reduce_mean(x) / 1e9)
            for _ in tf.range(60):
                one = tf.matmul(one, one)
            return {"y": x + tf.reduce_max(one)}

    module = Slow()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)


def lookup(folder: Path) -> None:
    """The number of a name plus those of a list of names: a=1, b=2, others 0; and the name, if it is known."""

    class Lookup(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            numbers = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
            self.table = tf.lookup.StaticHashTable(numbers, 0)

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None], tf.string, "name"),
                tf.TensorSpec([None, None], tf.string, "past"),
            ]
        )
        def __call__(self, name: tf.Tensor, past: tf.Tensor) -> dict[str, tf.Tensor]:
            own, others = self.table.lookup(name), self.table.lookup(past)
            total = tf.cast(own, tf.float32) + tf.reduce_sum(tf.cast(others, tf.float32), 1)
            return {"sum": total, "known": tf.gather(tf.constant(["?", "a", "b"]), own)}

    module = Lookup()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)


def later(folder: Path) -> None:
    """A whole number, and one more, as a float."""

    class Later(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "at")])  # type: ignore[untyped-decorator]
        def __call__(self, at: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"later": tf.cast(at + 1, tf.float64)}

    module = Later()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)

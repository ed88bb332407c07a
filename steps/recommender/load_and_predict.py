"""Load a SavedModel with TensorFlow alone and answer requests: `load_and_predict.py MODEL REQUESTS ANSWERS`.

Run as a program, it shows that the model needs none of this project's code. REQUESTS is JSON with `signatures`
(name -> input name -> type) and `requests` (name -> columns); ANSWERS becomes signature -> request name -> ratings.
"""

import json
import sys
from pathlib import Path

FORBIDDEN = ("steps", "tensorflow_recommenders", "tf_keras")


def main(model: str, requests: str, answers: str) -> None:
    """Answer all requests with all signatures."""
    import tensorflow as tf

    asked = json.loads(Path(requests).read_text())
    loaded = tf.saved_model.load(model)

    def tensor(value: list[object], kind: str, rank: int) -> tf.Tensor:
        # No rows of a history are an empty list, which has lost its second dimension.
        return tf.constant(value, kind, shape=None if value else [0] * rank)

    answered = {
        signature: {
            name: loaded.signatures[signature](
                **{
                    column: tensor(request[column], kind, 2 if column.startswith("history_") else 1)
                    for column, kind in inputs.items()
                }
            )["rating"]
            .numpy()
            .tolist()
            for name, request in asked["requests"].items()
        }
        for signature, inputs in asked["signatures"].items()
    }
    foreign = sorted(set(FORBIDDEN) & set(sys.modules))
    if foreign:
        sys.exit(f"the SavedModel needs {', '.join(foreign)}")
    Path(answers).write_text(json.dumps(answered))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Load a SavedModel with TensorFlow alone and answer requests: `load_and_predict.py MODEL REQUESTS ANSWERS`.

Run as a program, it shows that the model needs none of this project's code. REQUESTS is JSON with `signatures`
(name -> input name -> type), `requests` (name -> columns), `matrices` (the inputs that have a list in each row) and
`asked` (signature -> names of requests); ANSWERS becomes signature -> request name -> output name -> values.
"""

import json
import sys
from pathlib import Path

FORBIDDEN = ("steps", "tensorflow_recommenders", "tf_keras")


def main(model: str, requests: str, answers: str) -> None:
    """Answer all requests with all signatures."""
    import numpy as np
    import tensorflow as tf

    asked = json.loads(Path(requests).read_text())
    loaded = tf.saved_model.load(model)

    def tensor(value: list[object], kind: str, rank: int) -> tf.Tensor:
        # No rows of a history are an empty list, which has lost its second dimension.
        return tf.constant(value, kind, shape=None if value else [0] * rank)

    def answer(signature: str, request: dict[str, list[object]]) -> dict[str, list[object]]:
        inputs = {
            column: tensor(request[column], kind, 2 if column in asked["matrices"] else 1)
            for column, kind in asked["signatures"][signature].items()
        }
        outputs = {name: output.numpy() for name, output in loaded.signatures[signature](**inputs).items()}
        return {
            name: (np.char.decode(values.astype("S"), "utf-8") if values.dtype.kind == "O" else values).tolist()
            for name, values in outputs.items()
        }

    answered = {
        signature: {name: answer(signature, asked["requests"][name]) for name in names}
        for signature, names in asked["asked"].items()
    }
    foreign = sorted(set(FORBIDDEN) & set(sys.modules))
    if foreign:
        sys.exit(f"the SavedModel needs {', '.join(foreign)}")
    Path(answers).write_text(json.dumps(answered))


if __name__ == "__main__":
    main(*sys.argv[1:])

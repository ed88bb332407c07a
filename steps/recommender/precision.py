"""In which type of number a training multiplies; weights, losses and answers are float32 in any case."""

from typing import Final

import tensorflow as tf

from steps.recommender.config import TrainingConfig

BFLOAT16_FROM: Final = (8, 0)
"""The compute capability of the first NVIDIA GPUs that multiply bfloat16 quickly."""

_LOWER: Final = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}


def lower_type(config: TrainingConfig) -> tf.DType | None:
    """The type of products in hidden layers where it is not float32. `auto`: bfloat16 where each GPU has it."""
    if config.precision != "auto":
        return _LOWER.get(config.precision)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    able = [tuple(each.get("compute_capability", (0, 0))) >= BFLOAT16_FROM for each in details]
    return tf.bfloat16 if able and all(able) else None

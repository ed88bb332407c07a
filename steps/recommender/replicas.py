"""Training on several GPUs: each has a copy of the model and learns from its share of every batch."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from steps.recommender.config import TrainingConfig
from steps.recommender.models import RatingModel


def strategy_for(config: TrainingConfig) -> Any:
    """A `tf.distribute.Strategy` over all GPUs where there are several that the model can use, else of one device.

    Where a loss is a mean over rows, shares of a batch add up to the whole.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1 and config.learns_from_rows:
        return mirrored([gpu.name for gpu in gpus])
    return tf.distribute.get_strategy()


def mirrored(devices: Sequence[str]) -> Any:
    """A strategy over these devices."""
    # Collective operations, the default, failed for the gradients of embeddings, which are sparse.
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def replicated_step(model: RatingModel, strategy: Any) -> Any:
    """What `model.train_step` does, shared out, for a model that was built in the scope of `strategy`.

    Gradients are those of the whole batch: each replica's loss counts as much as it has rows. Only what `dropout`
    leaves out differs from training on one device.
    """
    replicas = strategy.num_replicas_in_sync

    def on_replica(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        rows = tf.shape(batch["rating"])[0]
        start, stop = replica * rows // replicas, (replica + 1) * rows // replicas
        # A replica without rows looks at one that counts for nothing, for the mean of none is no number.
        own = model.part(batch, tf.minimum(start, rows - 1), tf.maximum(stop, start + 1))
        with tf.GradientTape() as tape:
            loss = (
                model.compute_loss(own, training=True) * tf.cast(stop - start, tf.float32) / tf.cast(rows, tf.float32)
            )
            total = loss + tf.reduce_sum([tf.reduce_sum(penalty) for penalty in model.losses]) / replicas
        gradients = tape.gradient(total, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, total

    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        loss, total = (
            strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)
            for shares in strategy.run(on_replica, args=(batch,))
        )
        return {**{metric.name: metric.result() for metric in model.metrics}, "loss": loss, "total_loss": total}

    return step

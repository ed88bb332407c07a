"""What can be chosen about a model and its training, and the values that were measured to be good."""

from typing import Literal, Self

from pydantic import Field, model_validator

from steps.entry import IntList, StepInputs


class TrainingConfig(StepInputs):
    """The parameters that decide a trained model, together with the data."""

    model: Literal["ranking"] = Field("ranking", description="ranking: user and title embeddings, then an MLP")
    epochs: int = Field(50, ge=1, le=10_000, description="passes over the training rows, at most")
    learning_rate: float = Field(0.1, gt=0, le=10, description="step size of the optimizer")
    batch_size: int = Field(8192, ge=1, description="rows in one step of the optimizer")
    embedding_size: int = Field(32, ge=1, le=4096, description="numbers that describe each user and each title")
    layers: IntList = Field((256, 64), description="sizes of the hidden layers, first to last")
    l2: float = Field(0.01, ge=0, description="L2 penalty on the weights of the hidden layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of hidden units left out in each training step")
    activation: Literal["relu", "selu", "elu", "gelu", "swish", "tanh"] = Field(
        "relu", description="non-linearity of the hidden layers"
    )
    optimizer: Literal["adagrad", "adam", "nadam", "rmsprop", "sgd"] = Field(
        "adagrad", description="how steps follow from gradients"
    )
    loss: Literal["mse", "bce"] = Field(
        "mse", description="mse: squared error; bce: binary cross-entropy on ratings scaled to 0..1"
    )
    hide_users: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of rows whose user is hidden in an epoch, to learn what suits an unknown one",
    )
    hide_titles: float = Field(
        0.01, ge=0, lt=1, description="share of rows whose title is hidden in an epoch, for the same reason"
    )
    early_stopping: int = Field(
        0, ge=0, description="stop after this many epochs without a better validation RMSE; 0 never stops early"
    )
    seed: int = Field(1, ge=0, lt=2**31, description="decides everything random")

    @model_validator(mode="after")
    def _layers_are_sizes(self) -> Self:
        if any(not 1 <= size <= 65_536 for size in self.layers):
            raise ValueError(f"layers must be sizes from 1 to 65536, not {list(self.layers)}")
        return self

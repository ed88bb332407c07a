"""What can be chosen about a model and its training, and the values that were measured to be good."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from steps.entry import IntList, StepInputs, split_commas

ModelName = Literal["bias", "mf", "ranking", "dcn", "history", "autoencoder", "retrieval", "multitask"]
FeatureName = Literal["genres", "year", "time", "popularity", "age", "words", "demographics"]

Metric = Literal["rmse", "mae", "ndcg@10", "recall@10", "hit@10", "mrr"]
ERRORS: Final[tuple[Metric, ...]] = ("rmse", "mae")
"""The metrics of ratings, of which less is better; of those of lists more is."""

_RETRIEVAL: Final[dict[str, Any]] = {
    "optimizer": "adam",
    "learning_rate": 0.002,
    "l2": 0.0,
    "dropout": 0.1,
    "epochs": 15,
    "batch_size": 1024,
    "embedding_size": 64,
    "layers": (128,),
    "hide_users": 0.0,
    "hide_titles": 0.0,
}

SUITED: Final[dict[ModelName, dict[str, Any]]] = {
    "bias": {"optimizer": "adam", "learning_rate": 0.02, "l2": 5.0, "epochs": 30},
    "mf": {"optimizer": "adam", "learning_rate": 0.005, "l2": 10.0, "epochs": 60, "embedding_size": 16},
    "ranking": {},
    "dcn": {
        "optimizer": "adam",
        "learning_rate": 0.002,
        "l2": 0.001,
        "epochs": 20,
        "features": ("genres", "year"),
    },
    "history": {
        "optimizer": "adam",
        "learning_rate": 0.005,
        "l2": 400.0,
        "epochs": 30,
        "batch_size": 2048,
        "embedding_size": 32,
        "hide_users": 0.0,
    },
    "autoencoder": {
        "optimizer": "adam",
        "learning_rate": 0.001,
        "decay": "cosine",
        "l2": 100.0,
        "epochs": 40,
        "embedding_size": 500,
        "hide_users": 0.02,
    },
    "retrieval": _RETRIEVAL,
    "multitask": _RETRIEVAL,
}
"""What differs from the defaults of `TrainingConfig`, which suit the ranking model."""


LEARN_FROM_ROWS: Final[tuple[ModelName, ...]] = ("bias", "mf", "ranking", "dcn")
"""The models whose loss is a mean over rows, whichever rows a batch has; the others learn from whole users."""

WITH_HISTORIES: Final[tuple[ModelName, ...]] = ("history", "retrieval", "multitask")
"""The models that know a user by what was rated so far."""

WITH_FEATURES: Final[tuple[ModelName, ...]] = ("ranking", "dcn")
"""The models that read the features that `features` names."""


class TrainingConfig(StepInputs):
    """The parameters that decide a trained model, together with the data."""

    model: ModelName = Field(
        "ranking",
        description="bias: mean, user and title; mf: also the product of their vectors (SVD++); ranking: user and "
        "title embeddings, then an MLP; dcn: also what `features` names, crossed; history: a Gaussian process "
        "over what the user has rated so far; autoencoder: a code of each title's ratings, and what it tells of every "
        "user (AutoRec); retrieval: which title comes next, by two towers; multitask: both that "
        "and its rating. Other models have other defaults than these: docs/recommender.md",
    )
    epochs: int = Field(50, ge=1, le=10_000, description="passes over the training rows, at most")
    learning_rate: float = Field(0.1, gt=0, le=10, description="step size of the optimizer")
    decay: Literal["none", "cosine"] = Field(
        "none", description="none: all steps have that size; cosine: they shrink to nothing until the last epoch"
    )
    batch_size: int = Field(8192, ge=1, description="rows in one step of the optimizer")
    embedding_size: int = Field(32, ge=1, le=4096, description="numbers that describe each user and each title")
    features: Annotated[tuple[FeatureName, ...], BeforeValidator(split_commas)] = Field(
        (),
        description="of ranking and dcn, what is read beside the ids: genres, year, time (of the "
        "request), popularity and age (of the title at that time), words (of the title), demographics (gender, "
        "age group and occupation of the user)",
    )
    layers: IntList = Field((256, 64), description="sizes of the hidden layers, first to last")
    l2: float = Field(
        0.01,
        ge=0,
        description="L2 penalty on the weights of the hidden layers; of models without such, on what is known of each "
        "user and title, in ratings",
    )
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
    negatives: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="retrieval, multitask: titles drawn from all as further candidates of a batch",
    )
    temperature: float = Field(
        1.0, gt=0, description="retrieval, multitask: what scores are divided by before the softmax"
    )
    retrieval_weight: float = Field(1.0, ge=0, description="multitask: what the loss of the next title counts")
    rating_weight: float = Field(1.0, ge=0, description="multitask: what the squared error of its rating counts")
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
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto",
        description="of ranking and dcn, in what the products of hidden layers are computed in training; weights and "
        "answers are float32. auto: mixed_bfloat16 on GPUs that have it, else float32",
    )
    stream: Literal["auto", "always", "never"] = Field(
        "auto",
        description="always: rows stay on disk, so that memory does not have to hold them; auto: with more than "
        "10 million training and validation rows",
    )
    seed: int = Field(1, ge=0, lt=2**31, description="decides everything random")

    @property
    def learns_from_rows(self) -> bool:
        """Whether a batch may be of any rows."""
        return self.model in LEARN_FROM_ROWS

    @property
    def reads_histories(self) -> bool:
        """Whether the model answers from what a user has rated so far."""
        return self.model in WITH_HISTORIES

    @property
    def chosen_by(self) -> Metric:
        """The figure of validation by which epochs are chosen, and models of the same kind."""
        return "ndcg@10" if self.model in ("retrieval", "multitask") else "rmse"

    @property
    def reads_profiles(self) -> bool:
        """Whether the model reads what is known of users."""
        return "demographics" in self.features

    @model_validator(mode="before")
    @classmethod
    def _defaults_suit_the_model(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        suited = next((values for model, values in SUITED.items() if model == given.get("model")), {})
        return {**suited, **given}

    @model_validator(mode="after")
    def _layers_are_sizes(self) -> Self:
        if any(not 1 <= size <= 65_536 for size in self.layers):
            raise ValueError(f"layers must be sizes from 1 to 65536, not {list(self.layers)}")
        if self.features and self.model not in WITH_FEATURES:
            raise ValueError(f"features are for the models {' and '.join(WITH_FEATURES)}, not for {self.model}")
        if self.precision.startswith("mixed") and self.model not in WITH_FEATURES:
            raise ValueError(f"precision is for the models {' and '.join(WITH_FEATURES)}, not for {self.model}")
        if self.reads_histories and self.hide_users:
            raise ValueError(f"hide_users must be 0 for the model {self.model}, which learns from whole users")
        return self

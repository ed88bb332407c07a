"""A trained model as a folder: written by `train`, read by `evaluate` and `export`."""

import json
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steps.recommender import data
from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns, RatingScale, require_files
from steps.recommender.features import TitleTable
from steps.recommender.history import EpochResult
from steps.recommender.models import Basis, RatingModel, build_model
from steps.recommender.profiles import Profiles
from steps.recommender.stored_columns import StoredColumns
from steps.recommender.training import Training
from steps.recommender.training_data import TrainingData, read_training_data
from steps.recommender.vocabulary import Vocabulary

DESCRIPTION = "model.json"
VOCABULARY = "vocabulary.json"
WEIGHTS = "weights.weights.h5"
HISTORY = "history.json"
BASIS = "basis.npz"
SEEDS = "seeds"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model with the weights of its best epoch, and how it came to be."""

    model: RatingModel
    config: TrainingConfig
    vocabulary: Vocabulary
    scale: RatingScale
    history: Sequence[EpochResult]
    best_epoch: int
    last_moment: int
    """When the last training rating was given, in seconds since 1970."""
    basis: Basis
    """What the model was told before it learned."""
    data_digest: str
    """`TrainingData.digest` of what it was trained on."""
    learned_until: int
    """When the last rating was given that it, or the model that it began with, learned from."""
    began_at: int | None
    """The same of the model that it began with, if there was one."""
    profiles: Profiles | None
    """What is known of its users, where it reads that."""

    @property
    def validation_rmse(self) -> float:
        """That of the best epoch."""
        return self.history[self.best_epoch - 1].validation_rmse

    def was_trained_on(self, split: Path, scratch: Path) -> bool:
        """Whether a folder in the format `split` has the rows that it learned from and was chosen by."""
        if not data.describe_split(split).rows["validation"]:
            return False
        streamed = self.config.model_copy(update={"stream": "always"})
        return read_training_data(split, streamed, scratch).digest() == self.data_digest

    def has_learned_from(self, parts: Iterable[Columns]) -> bool:
        """Whether the model that it began with may have learned from some of these rows."""
        if self.began_at is None:
            return False
        return any((piece <= self.began_at).any() for part in parts for piece in data.pieces(part, "timestamp"))


def save(training: Training, config: TrainingConfig, training_data: TrainingData, folder: Path) -> None:
    """Write a folder in the format `trained-model`, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "parameters": config.model_dump(mode="json", include=set(TrainingConfig.model_fields)),
        "rating_scale": asdict(training_data.scale),
        "mean_rating": data.mean(training_data.train, "rating"),
        "users": len(training_data.vocabulary.users),
        "titles": len(training_data.vocabulary.titles),
        "weights": training.model.count_params(),
        "best_epoch": training.best_epoch,
        "data_digest": training_data.digest(),
        "learned_until": training_data.learned_until,
        "began_at": training_data.start.learned_until if training_data.start else None,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2))
    save_history(training, folder / HISTORY)
    training_data.vocabulary.save(folder / VOCABULARY)
    _save_basis(training_data, folder / BASIS)
    training.model.save_weights(folder / WEIGHTS)


def _save_basis(training_data: TrainingData, path: Path) -> None:
    """Write what `Basis` has of titles, users and rows, without having more of the rows in memory than are there."""
    arrays = {f"titles/{name}": array for name, array in training_data.titles.arrays().items()}
    if training_data.users is not None:
        arrays |= {f"users/{name}": array for name, array in training_data.users.arrays().items()}
    columns = training_data.train
    # Level 6, the default, takes six times as long for a file that is a tenth smaller.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        for name, none in data.take(columns, 0, 0).items():
            with archive.open(f"train/{name}.npy", "w", force_zip64=True) as file:
                shape = (data.count_rows(columns),)
                header = {"descr": none.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for piece in data.pieces(columns, name):
                    file.write(piece.tobytes())


def _extract(group: str, path: Path, folder: Path) -> StoredColumns:
    """Columns of an archive, without having one of them in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    dtypes, rows = {}, 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.startswith(f"{group}/"):
                name = Path(member).stem
                with archive.open(member) as stored, (folder / name).open("wb") as file:
                    np.lib.format.read_magic(stored)
                    (rows,), _, dtypes[name] = np.lib.format.read_array_header_1_0(stored)
                    shutil.copyfileobj(stored, file)
    return StoredColumns(folder, dtypes, rows)


def save_history(training: Training, path: Path) -> None:
    """Write what its epochs came to."""
    path.write_text(json.dumps([asdict(record.result) for record in training.history], indent=2))


def save_seeds(
    trainings: Sequence[Training], config: TrainingConfig, training_data: TrainingData, folder: Path
) -> None:
    """Write the models of several trainings, one for each seed from that of `config`, beside the one that was kept."""
    for seed, training in enumerate(trainings, start=config.seed):
        save(training, config.model_copy(update={"seed": seed}), training_data, folder / SEEDS / str(seed))


def load_seeds(folder: Path, scratch: Path) -> list[TrainedModel]:
    """The models of several trainings, in the order of their seeds; none where there was only one. See `load`."""
    folders = sorted((folder / SEEDS).glob("*"), key=lambda path: int(path.name))
    return [load(path, scratch / path.name) for path in folders]


def load(folder: Path, scratch: Path | None = None) -> TrainedModel:
    """Read what `save` wrote. With `scratch` the training rows lie there, instead of in memory.

    Raises:
        StepError: the folder is not a trained model.
    """
    require_files(folder, [DESCRIPTION, VOCABULARY, BASIS, WEIGHTS, HISTORY], made_by="train")
    description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
    config = TrainingConfig.model_validate(description["parameters"])
    scale = RatingScale(**description["rating_scale"])
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    with np.load(folder / BASIS, allow_pickle=False) as stored:
        titles, users = TitleTable.from_arrays(_group(stored, "titles")), _group(stored, "users")
        train: Columns = _extract("train", folder / BASIS, scratch) if scratch else _group(stored, "train")
    profiles = Profiles.from_arrays(users) if users else None
    basis = Basis(vocabulary, scale, description["mean_rating"], titles, train, profiles)
    model = build_model(config, basis)
    model.load_weights(folder / WEIGHTS)
    model.remember(train)
    history = [EpochResult(**record) for record in json.loads((folder / HISTORY).read_text())]
    return TrainedModel(
        model=model,
        config=config,
        vocabulary=vocabulary,
        scale=scale,
        history=history,
        best_epoch=description["best_epoch"],
        basis=basis,
        last_moment=data.latest(train),
        data_digest=description["data_digest"],
        learned_until=description["learned_until"],
        began_at=description["began_at"],
        profiles=profiles,
    )


def _group(stored: Any, group: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(f"{group}/"): stored[name] for name in stored.files if name.startswith(f"{group}/")}

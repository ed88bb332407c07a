"""What a training did, epoch by epoch."""

from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What an epoch came to: its mean loss without and with regularisation, and errors in rating units.

    `rmse` is the mean over the epoch while the weights changed, with ids hidden and units dropped; `validation_rmse`
    is of the predictions that would be served after the epoch.
    """

    epoch: int
    loss: float
    total_loss: float
    rmse: float
    validation_rmse: float
    validation_ndcg: float | None = field(default=None, kw_only=True)
    """The mean NDCG@10 of lists for the validation rows' users; None of models that are chosen by their ratings."""

    @property
    def badness(self) -> float:
        """By which the best epoch is chosen: the lowest."""
        return self.validation_rmse if self.validation_ndcg is None else -self.validation_ndcg


@dataclass(frozen=True, slots=True)
class EpochRecord(EpochResult):
    """The same with its speed, which differs from one training to the next even where nothing else does."""

    seconds: float
    examples_per_second: float

    @property
    def result(self) -> EpochResult:
        """What is the same in every training of the same data, parameters and seed."""
        return EpochResult(**{each.name: getattr(self, each.name) for each in fields(EpochResult)})

    def line(self, epochs: int) -> str:
        """The epoch for a person who watches a training of `epochs`; the columns of successive lines align."""
        lists = "" if self.validation_ndcg is None else f"  val_ndcg@10 {self.validation_ndcg:.4f}"
        left = (epochs - self.epoch) * self.seconds
        return (
            f"epoch {self.epoch:{len(str(epochs))}}/{epochs}"
            f"  loss {self.loss:.4f}  rmse {self.rmse:.4f}  val_rmse {self.validation_rmse:.4f}{lists}"
            f"  {self.examples_per_second:>11,.0f} examples/s  {left:.0f} s left"
        )

"""What a training did, epoch by epoch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What an epoch did: its mean loss without and with regularisation, errors in rating units, and its speed.

    `rmse` is the mean over the epoch while the weights changed, with ids hidden and units dropped; `validation_rmse`
    is of the predictions that would be served after the epoch.
    """

    epoch: int
    loss: float
    total_loss: float
    rmse: float
    validation_rmse: float
    seconds: float
    examples_per_second: float

    def line(self, epochs: int) -> str:
        """The epoch for a person who watches a training of `epochs`; the columns of successive lines align."""
        left = (epochs - self.epoch) * self.seconds
        return (
            f"epoch {self.epoch:{len(str(epochs))}}/{epochs}"
            f"  loss {self.loss:.4f}  rmse {self.rmse:.4f}  val_rmse {self.validation_rmse:.4f}"
            f"  {self.examples_per_second:>11,.0f} examples/s  {left:.0f} s left"
        )

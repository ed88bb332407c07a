"""What every engine can do."""

from typing import Protocol

from serving.signatures import Signature, Tensors


class Engine(Protocol):
    """Computes the signatures of one version of a model. `run` may be called from several threads at once."""

    name: str

    def run(self, signature: Signature, inputs: Tensors) -> Tensors:
        """All outputs for inputs that `Signature.check` has passed.

        Raises:
            ServingError: the model cannot answer these inputs.
        """

    def close(self) -> None:
        """Free what it holds. Nothing runs in it any more."""

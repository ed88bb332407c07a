"""`--model_config_file`: TensorFlow Serving's ModelServerConfig as protobuf text."""

from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import InvalidArgument
from serving.models.config import ModelConfig, VersionPolicy


def read(path: Path) -> list[ModelConfig]:
    """The models that a file names.

    Raises:
        InvalidArgument: it cannot be read, or is no such configuration.
    """
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(), config)
    except (OSError, ValueError, text_format.ParseError) as error:
        raise InvalidArgument(f"{path}: {error}") from error
    return from_proto(config)


def from_proto(config: Any) -> list[ModelConfig]:
    """The models of a ModelServerConfig.

    Raises:
        InvalidArgument: it has none, or asks for what this server cannot do.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise InvalidArgument("the configuration has no model_config_list")
    return [_model(model) for model in config.model_config_list.config]


def _model(model: Any) -> ModelConfig:
    if model.model_platform not in ("", "tensorflow"):
        raise InvalidArgument(f"model {model.name}: model_platform {model.model_platform} is not `tensorflow`")
    if not model.base_path:
        raise InvalidArgument(f"model {model.name} has no base_path")
    return ModelConfig(
        name=model.name,
        base_path=Path(model.base_path),
        policy=_policy(model.model_version_policy),
        labels={label: int(version) for label, version in model.version_labels.items()},
    )


def _policy(policy: Any) -> VersionPolicy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(latest=None)
    if choice == "specific":
        return VersionPolicy(latest=None, specific=frozenset(policy.specific.versions))
    return VersionPolicy(latest=policy.latest.num_versions or 1)

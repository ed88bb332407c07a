"""The command line: tensorflow_model_server's flags, and this server's own."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.batching import BatchingParameters
from serving.errors import InvalidArgument
from serving.models import config_file
from serving.models.config import ModelConfig
from serving.parameter_files import batching_parameters, metrics_path
from serving.prediction_log import PredictionLogSettings

ENGINES = ("auto", "tf", "onnx", "tflite")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server is to do."""

    models: tuple[ModelConfig, ...]
    config_file: Path | None
    config_poll_seconds: float
    host: str
    port: int
    rest_port: int
    poll_seconds: float
    timeout_seconds: float
    cors: bool
    body_bytes: int
    message_bytes: int
    longest_list: int
    batching: BatchingParameters
    engine: str
    warmup: bool
    labels_for_unavailable: bool
    load_attempts: int
    intra_op: int
    inter_op: int
    metrics_path: str
    access_log_sampling: float
    prediction_log: PredictionLogSettings | None
    drain_seconds: float


def build_parser() -> argparse.ArgumentParser:
    """What the command line may say."""
    parser = argparse.ArgumentParser(prog="serving", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--host", default="0.0.0.0", help="the address to listen on")  # noqa: S104
    add("--port", type=int, default=8500, help="gRPC; 0 for none")
    add("--rest_api_port", type=int, default=8501, help="REST, and the page")
    add("--model_name", default=os.environ.get("MODEL_NAME") or "model", help="the model's name in URLs")
    add("--model_base_path", type=Path, help="the folder of its versions, else MODEL_BASE_PATH/NAME")
    add("--model_config_file", type=Path, help="several models, in place of the two above")
    add("--model_config_file_poll_wait_seconds", type=float, default=0, help="to read it again; 0: never")
    add(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1,
        help="between looks for versions; 0: only at the start",
    )
    add("--max_num_load_retries", type=int, default=5, help="for a version that cannot be loaded")
    add("--allow_version_labels_for_unavailable_models", type=_truth, nargs="?", const=True, default=False, help="")
    add("--enable_batching", type=_truth, nargs="?", const=True, default=True, help="put requests together")
    add("--batching_parameters_file", type=Path, help="limits of that")
    add("--enable_model_warmup", type=_truth, nargs="?", const=True, default=True, help="with assets.extra")
    add("--engine", choices=ENGINES, default="auto", help="what computes answers")
    add("--monitoring_config_file", type=Path, help="whether and where metrics are")
    add("--rest_api_timeout_in_ms", type=int, default=30_000, help="for headers, and for a body, to arrive")
    add(
        "--rest_api_enable_cors_support",
        type=_truth,
        nargs="?",
        const=True,
        default=False,
        help="let pages of other origins ask",
    )
    add("--max_body_bytes", type=int, default=64 * 2**20, help="of a REST request")
    add("--grpc_max_message_bytes", type=int, default=64 * 2**20, help="of a gRPC request")
    add("--max_list_length", type=int, default=4096, help="of lists within the rows of a request; 0: any")
    add("--tensorflow_intra_op_parallelism", type=int, default=0, help="threads within an operation")
    add("--tensorflow_inter_op_parallelism", type=int, default=0, help="threads for operations")
    add("--access_log_sampling", type=float, default=0.01, help="the part of requests that is logged")
    add(
        "--prediction_log",
        type=Path,
        default=os.environ.get("PREDICTION_LOG") or None,
        help="a folder for Parquet files of what was asked and answered, else PREDICTION_LOG",
    )
    log = {name: os.environ.get(f"PREDICTION_LOG_{name}") for name in ("SAMPLING", "HASH", "SECONDS", "MAX_BYTES")}
    add("--prediction_log_sampling", type=float, default=log["SAMPLING"] or 1, help="the part of requests in it")
    add(
        "--prediction_log_hash",
        action="append",
        default=[name for name in (log["HASH"] or "").split(",") if name],
        metavar="INPUT",
        help="an input whose values are hashed",
    )
    add("--prediction_log_seconds", type=float, default=log["SECONDS"] or 60, help="a file is written so often")
    add(
        "--prediction_log_max_bytes",
        type=int,
        default=log["MAX_BYTES"] or 2**30,
        help="of all its files; the oldest go",
    )
    add("--drain_seconds", type=float, default=20, help="for running requests after SIGTERM")
    return parser


def parse(argv: Sequence[str]) -> Settings:
    """The settings that the command line and the environment ask for; ends the program where they make no sense."""
    parser = build_parser()
    given = parser.parse_args(argv)
    try:
        return _settings(given)
    except InvalidArgument as error:
        parser.error(error.message)


def _settings(given: argparse.Namespace) -> Settings:
    if given.model_config_file:
        models = config_file.read(given.model_config_file)
    else:
        base = Path(os.environ.get("MODEL_BASE_PATH") or "/models", given.model_name)
        models = [ModelConfig(given.model_name, given.model_base_path or base)]
    return Settings(
        models=tuple(models),
        config_file=given.model_config_file,
        config_poll_seconds=given.model_config_file_poll_wait_seconds,
        host=given.host,
        port=given.port,
        rest_port=given.rest_api_port,
        poll_seconds=given.file_system_poll_wait_seconds,
        timeout_seconds=given.rest_api_timeout_in_ms / 1000,
        cors=given.rest_api_enable_cors_support,
        body_bytes=given.max_body_bytes,
        message_bytes=given.grpc_max_message_bytes,
        longest_list=given.max_list_length,
        batching=batching_parameters(given.batching_parameters_file, enabled=given.enable_batching),
        engine=given.engine,
        warmup=given.enable_model_warmup,
        labels_for_unavailable=given.allow_version_labels_for_unavailable_models,
        load_attempts=given.max_num_load_retries,
        intra_op=given.tensorflow_intra_op_parallelism,
        inter_op=given.tensorflow_inter_op_parallelism,
        metrics_path=metrics_path(given.monitoring_config_file),
        access_log_sampling=given.access_log_sampling,
        prediction_log=_prediction_log(given),
        drain_seconds=given.drain_seconds,
    )


def _prediction_log(given: argparse.Namespace) -> PredictionLogSettings | None:
    if given.prediction_log is None:
        return None
    return PredictionLogSettings(
        folder=given.prediction_log,
        sampling=given.prediction_log_sampling,
        hashed=frozenset(given.prediction_log_hash),
        seconds=given.prediction_log_seconds,
        max_bytes=given.prediction_log_max_bytes,
    )


def _truth(text: str) -> bool:
    """TensorFlow's way to write one."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"`{text}` is neither `true` nor `false`")
    return text.lower() in ("true", "1")

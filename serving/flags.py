"""The command line: tensorflow_model_server's flags, and this server's own."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.batching import BatchingParameters
from serving.models.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server is to do."""

    models: tuple[ModelConfig, ...]
    host: str
    rest_port: int
    poll_seconds: float
    timeout_seconds: float
    body_bytes: int
    batching: BatchingParameters
    intra_op: int
    inter_op: int
    drain_seconds: float


def build_parser() -> argparse.ArgumentParser:
    """What the command line may say."""
    parser = argparse.ArgumentParser(prog="serving", description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="0.0.0.0", help="the address to listen on")  # noqa: S104
    parser.add_argument("--rest_api_port", type=int, default=8501, help="REST, and the page; 0 for none")
    parser.add_argument(
        "--model_name", default=os.environ.get("MODEL_NAME") or "model", help="the model's name in URLs"
    )
    parser.add_argument("--model_base_path", type=Path, help="the folder of its versions, else MODEL_BASE_PATH/NAME")
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=1.0, help="between looks for versions")
    parser.add_argument("--rest_api_timeout_in_ms", type=int, default=30_000, help="for a request to arrive")
    parser.add_argument("--max_body_bytes", type=int, default=64 * 2**20, help="of a REST request")
    parser.add_argument("--tensorflow_intra_op_parallelism", type=int, default=0, help="threads within an operation")
    parser.add_argument("--tensorflow_inter_op_parallelism", type=int, default=0, help="threads for operations")
    parser.add_argument("--drain_seconds", type=float, default=20.0, help="for running requests after SIGTERM")
    return parser


def parse(argv: Sequence[str]) -> Settings:
    """The settings that the command line and the environment ask for; ends the program where they make no sense."""
    given = build_parser().parse_args(argv)
    path = given.model_base_path or Path(os.environ.get("MODEL_BASE_PATH") or "/models", given.model_name)
    return Settings(
        models=(ModelConfig(given.model_name, path),),
        host=given.host,
        rest_port=given.rest_api_port,
        poll_seconds=given.file_system_poll_wait_seconds,
        timeout_seconds=given.rest_api_timeout_in_ms / 1000,
        body_bytes=given.max_body_bytes,
        batching=BatchingParameters(),
        intra_op=given.tensorflow_intra_op_parallelism,
        inter_op=given.tensorflow_inter_op_parallelism,
        drain_seconds=given.drain_seconds,
    )

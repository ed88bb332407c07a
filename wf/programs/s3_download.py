"""`s3-download@v1`: the objects under a prefix, as files in an output of the job."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from wf.programs.shared import ProgramError, output_folder, run_program


def download(parameters: Mapping[str, str]) -> None:
    """Copy what lies under `url` into `path`.

    Args:
        parameters: `url`, `path`, `access-key`, `secret-access-key`, and perhaps `region` and `endpoint`.

    Raises:
        ProgramError: the server refuses, has nothing there, or names an object that cannot be a file below `path`.
    """
    # It takes 0.3 s to import, and only this program needs it.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = read_url(parameters["url"])
    folder = output_folder(parameters["path"])
    try:
        client = boto3.session.Session(
            aws_access_key_id=parameters["access-key"],
            aws_secret_access_key=parameters["secret-access-key"],
            region_name=parameters.get("region") or "us-east-1",
        ).client("s3", endpoint_url=parameters.get("endpoint") or None)
        count = 0
        for key, size in _objects(client, bucket, prefix):
            target = place(folder, key, prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, key, str(target))
            count += 1
            print(f"{target.relative_to(folder)}  {size} bytes", flush=True)  # noqa: T201 - its log
    except (BotoCoreError, ClientError, ValueError) as error:
        raise ProgramError(f"s3://{bucket}/{prefix} cannot be read: {error}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ProgramError(f"two objects want to be the same place: {error.filename}") from None
    if not count:
        raise ProgramError(f"there is nothing under s3://{bucket}/{prefix}")


def read_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix/`; the last `/` may be left out."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ProgramError(f"`{url}` is not of the form s3://BUCKET/PREFIX/")
    prefix = prefix.rstrip("/")
    return bucket, prefix and f"{prefix}/"


def place(folder: Path, key: str, prefix: str) -> Path:
    """Where an object goes: what its key has after the prefix."""
    name = PurePosixPath(key.removeprefix(prefix))
    if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in key:
        raise ProgramError(f"the object `{key}` cannot be a file in the output")
    return folder / name


def _objects(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # a folder that somebody made by hand
                yield entry["Key"], entry["Size"]


def main(argv: Sequence[str] | None = None) -> int:
    """The program."""
    return run_program(download, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Datasets: names whose versions are artifacts."""

import os

from wf.errors import EnvironmentProblem
from wf.store.database import Connection
from wf.store.records import DatasetVersion

LATEST = "latest"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_VERSION_LENGTH = 7


def add_version(
    connection: Connection, dataset: str, digest: str, run: int, job: str, output: str, created: str
) -> DatasetVersion:
    """Make the content a new version of the dataset, which from now on is its latest."""
    version = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(_VERSION_LENGTH))
    connection.execute(
        "INSERT INTO dataset_versions (dataset, version, digest, run, job, output, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (dataset, version, digest, run, job, output, created),
    )
    return DatasetVersion(dataset, version, digest, run, job, created)


def is_latest(connection: Connection, dataset: str, digest: str) -> bool:
    """Whether the content is what the dataset's latest version holds."""
    row = connection.execute(
        "SELECT digest FROM dataset_versions WHERE dataset = ? ORDER BY id DESC LIMIT 1", (dataset,)
    ).fetchone()
    return row is not None and row["digest"] == digest


def resolve(connection: Connection, ref: str) -> DatasetVersion:
    """The version that `DATASET`, `DATASET:latest` or `DATASET:VERSION` names at this moment."""
    dataset, _, version = ref.partition(":")
    chosen = "" if version in {"", LATEST} else "AND version = :version"
    row = connection.execute(
        "SELECT dataset, version, digest, run, job, created FROM dataset_versions "  # noqa: S608
        f"WHERE dataset = :dataset {chosen} ORDER BY id DESC LIMIT 1",
        {"dataset": dataset, "version": version},
    ).fetchone()
    if row is None:
        raise _unknown(connection, dataset, version)
    return DatasetVersion(*row)


def _unknown(connection: Connection, dataset: str, version: str) -> EnvironmentProblem:
    import difflib

    versions = [
        row[0]
        for row in connection.execute(
            "SELECT version FROM dataset_versions WHERE dataset = ? ORDER BY id DESC LIMIT 5", (dataset,)
        )
    ]
    if versions:
        return EnvironmentProblem(
            f"dataset `{dataset}` has no version `{version}`", hint=f"Its newest versions: {', '.join(versions)}."
        )
    names = [row[0] for row in connection.execute("SELECT DISTINCT dataset FROM dataset_versions")]
    near = difflib.get_close_matches(dataset, names, n=1)
    return EnvironmentProblem(
        f"there is no dataset `{dataset}` in this project",
        hint=f"Did you mean `{near[0]}`?"
        if near
        else f"Run a workflow first that writes it: a job with the output {{type: dataset, with: {{ref: {dataset}}}}}.",
    )

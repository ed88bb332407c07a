"""The SQLite file of a project: opened, brought to the present schema, written in transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wf.errors import EnvironmentProblem
from wf.store.layout import locked

Connection = sqlite3.Connection
Row = sqlite3.Row

_MIGRATIONS = (
    """
    CREATE TABLE runs (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        workflow    TEXT NOT NULL,               -- path from the project's folder
        state       TEXT NOT NULL,
        started     TEXT NOT NULL,               -- times are RFC 3339 in UTC with milliseconds
        finished    TEXT,
        backend     TEXT NOT NULL,
        inputs      TEXT NOT NULL,               -- JSON
        plan        TEXT NOT NULL,               -- JSON
        error       TEXT NOT NULL DEFAULT '',
        wf_version  TEXT NOT NULL,
        git_commit  TEXT,
        git_dirty   INTEGER NOT NULL DEFAULT 0,
        owner       TEXT NOT NULL,               -- JSON: the process that runs it
        swept       INTEGER NOT NULL DEFAULT 0   -- whether nothing of it is left in its backend
    );
    CREATE INDEX runs_to_sweep ON runs (swept) WHERE NOT swept;

    CREATE TABLE jobs (
        run         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name        TEXT NOT NULL,
        position    INTEGER NOT NULL,            -- in the plan
        state       TEXT NOT NULL,
        started     TEXT,
        finished    TEXT,
        seconds     REAL NOT NULL DEFAULT 0,
        exit_code   INTEGER,
        error       TEXT NOT NULL DEFAULT '',
        key         TEXT,                        -- JSON: image, code and all else that its outputs depend on
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;

    CREATE TABLE artifacts (
        digest      TEXT PRIMARY KEY,
        kind        TEXT NOT NULL,               -- file, folder
        bytes       INTEGER NOT NULL,
        files       INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE inputs (
        run         INTEGER NOT NULL,
        job         TEXT NOT NULL,
        name        TEXT NOT NULL,
        source      TEXT NOT NULL,               -- JOB.outputs.NAME, DATASET:VERSION or '' for text
        digest      TEXT NOT NULL,
        PRIMARY KEY (run, job, name),
        FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
    ) WITHOUT ROWID;

    CREATE TABLE outputs (
        run         INTEGER NOT NULL,
        job         TEXT NOT NULL,
        name        TEXT NOT NULL,
        type        TEXT NOT NULL,
        format      TEXT,
        digest      TEXT NOT NULL REFERENCES artifacts (digest),
        PRIMARY KEY (run, job, name),
        FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX outputs_by_digest ON outputs (digest);

    CREATE TABLE metrics (
        run         INTEGER NOT NULL,
        job         TEXT NOT NULL,
        name        TEXT NOT NULL,
        value       REAL NOT NULL,
        PRIMARY KEY (run, job, name),
        FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
    ) WITHOUT ROWID;

    CREATE TABLE dataset_versions (
        id          INTEGER PRIMARY KEY,         -- in the order of their making: the last is `latest`
        dataset     TEXT NOT NULL,
        version     TEXT NOT NULL,               -- 7 of a-z, 0-9
        digest      TEXT NOT NULL REFERENCES artifacts (digest),
        run         INTEGER,                     -- the run and job that wrote it; they may be forgotten before it is
        job         TEXT,
        output      TEXT,
        created     TEXT NOT NULL,
        UNIQUE (dataset, version)
    );
    CREATE INDEX dataset_versions_by_run ON dataset_versions (run, job);
    """,
    """
    ALTER TABLE jobs ADD COLUMN key_digest TEXT;       -- of `key`
    ALTER TABLE jobs ADD COLUMN cached_from INTEGER;   -- the run whose outputs stand for this job's
    CREATE INDEX jobs_by_key ON jobs (key_digest) WHERE key_digest IS NOT NULL;
    """,
    """
    CREATE TABLE datasets (
        name        TEXT PRIMARY KEY,            -- NAME or NAMESPACE/NAME
        id          TEXT NOT NULL UNIQUE,        -- ds and 13 of a-z, 0-9
        created     TEXT NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO datasets (name, id, created)
        SELECT dataset, 'ds' || substr(lower(hex(randomblob(7))), 1, 13), min(created)
        FROM dataset_versions GROUP BY dataset;

    ALTER TABLE dataset_versions ADD COLUMN message TEXT NOT NULL DEFAULT '';
    ALTER TABLE dataset_versions ADD COLUMN origin TEXT NOT NULL DEFAULT '';  -- the path that was imported

    CREATE TABLE dataset_tags (
        dataset     TEXT NOT NULL,
        name        TEXT NOT NULL,
        version     TEXT NOT NULL,
        PRIMARY KEY (dataset, name),
        FOREIGN KEY (dataset, version) REFERENCES dataset_versions (dataset, version) ON DELETE CASCADE
    ) WITHOUT ROWID;

    CREATE TABLE dataset_aliases (
        alias       TEXT PRIMARY KEY,            -- what workflows write, such as the id in a service that is closed
        dataset     TEXT NOT NULL REFERENCES datasets (name) ON DELETE CASCADE
    ) WITHOUT ROWID;

    CREATE TABLE models (
        number      INTEGER PRIMARY KEY,         -- in the order of their making
        id          TEXT NOT NULL UNIQUE,        -- mo and 12 of a-z, 0-9
        name        TEXT NOT NULL,
        type        TEXT NOT NULL,
        digest      TEXT NOT NULL REFERENCES artifacts (digest),
        dataset     TEXT,                        -- DATASET:VERSION with that content, where there is one
        run         INTEGER,                     -- the run and job that made it; they may be forgotten before it is
        job         TEXT,
        metadata    TEXT NOT NULL,               -- JSON
        created     TEXT NOT NULL
    );
    CREATE INDEX models_by_digest ON models (digest);
    CREATE INDEX models_by_run ON models (run, job);
    CREATE INDEX dataset_versions_by_digest ON dataset_versions (digest);
    """,
    """
    ALTER TABLE jobs ADD COLUMN reason TEXT NOT NULL DEFAULT '';  -- why it ran, and nothing stood for it
    CREATE INDEX jobs_by_name ON jobs (name, run);
    """,
    """
    CREATE TABLE deployments (
        id          TEXT PRIMARY KEY,            -- a UUID
        name        TEXT NOT NULL UNIQUE,
        port        INTEGER NOT NULL UNIQUE,     -- on this machine, for HTTP
        grpc_port   INTEGER NOT NULL UNIQUE,
        revision    INTEGER NOT NULL,            -- the one that serves, 0 until the first one does
        replicas    INTEGER NOT NULL,
        enabled     INTEGER NOT NULL,
        created     TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE deployment_revisions (
        deployment  TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
        number      INTEGER NOT NULL,
        spec        TEXT NOT NULL,               -- JSON, with the names of secrets
        image       TEXT NOT NULL,               -- the engine's id
        created     TEXT NOT NULL,
        author      TEXT NOT NULL,
        why         TEXT NOT NULL,
        PRIMARY KEY (deployment, number)
    ) WITHOUT ROWID;

    CREATE TABLE deployment_models (
        deployment  TEXT NOT NULL,
        revision    INTEGER NOT NULL,
        position    INTEGER NOT NULL,
        digest      TEXT NOT NULL REFERENCES artifacts (digest),
        PRIMARY KEY (deployment, revision, position),
        FOREIGN KEY (deployment, revision) REFERENCES deployment_revisions (deployment, number) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX deployment_models_by_digest ON deployment_models (digest);

    CREATE TABLE deployment_changes (
        id          INTEGER PRIMARY KEY,
        deployment  TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
        at          TEXT NOT NULL,
        action      TEXT NOT NULL,
        revision    INTEGER NOT NULL,            -- the one that serves after it
        author      TEXT NOT NULL,
        why         TEXT NOT NULL,
        outcome     TEXT NOT NULL,               -- under way, succeeded, failed, rolled back
        detail      TEXT NOT NULL
    );
    CREATE INDEX deployment_changes_by_deployment ON deployment_changes (deployment);
    """,
    """
    ALTER TABLE runs ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;  -- whether `wf gc` keeps it
    CREATE INDEX jobs_by_origin ON jobs (cached_from) WHERE cached_from IS NOT NULL;
    """,
    """
    CREATE TABLE attempts (                      -- that failed, after which the job was tried again
        run         INTEGER NOT NULL,
        job         TEXT NOT NULL,
        attempt     INTEGER NOT NULL,            -- from 1
        seconds     REAL NOT NULL,
        exit_code   INTEGER,
        error       TEXT NOT NULL,
        PRIMARY KEY (run, job, attempt),
        FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
    ) WITHOUT ROWID;
    """,
    """
    CREATE INDEX inputs_by_digest ON inputs (digest);
    """,
    """
    ALTER TABLE runs ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';   -- JSON: how it was started, beside its plan
    ALTER TABLE runs ADD COLUMN looked_up TEXT NOT NULL DEFAULT '{}';  -- JSON: versions that it chose when it began
    ALTER TABLE runs ADD COLUMN resumes INTEGER;                       -- the run that it goes on with
    CREATE UNIQUE INDEX runs_by_resumed ON runs (resumes) WHERE resumes IS NOT NULL;
    """,
    """
    CREATE TABLE local_files (                   -- files of this machine that jobs were given
        path        TEXT PRIMARY KEY,
        stamp       TEXT NOT NULL,               -- a digest of names, sizes, times and inodes
        digest      TEXT NOT NULL                -- of the content that they had with that stamp
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE deployments ADD COLUMN shadow INTEGER NOT NULL DEFAULT 0;  -- the revision that gets copies of requests
    """,
)
SCHEMA = len(_MIGRATIONS)
"""The version of the schema that this `wf` writes. A migration is added for each change and never edited."""


def connect(path: Path) -> Connection:
    """Open the database, made or brought up to date if need be."""
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        connection.row_factory = Row
        connection.execute("PRAGMA foreign_keys = ON")
        # The changes of a thousand jobs at once need more than the usual 2 MiB: they would be written, and read again.
        connection.execute("PRAGMA cache_size = -16384")  # KiB, taken as needed
        if _version(connection) != SCHEMA:
            _migrate(connection, path)
        # In WAL mode, to which _migrate has set the file, a power cut may lose the last moment but breaks nothing.
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as error:
        raise _unusable(error, path) from error
    return connection


@contextmanager
def transaction(connection: Connection, *, durable: bool = False) -> Iterator[Connection]:
    """Everything in the block is stored, or nothing of it. If it is durable, no power cut loses it afterwards."""
    try:
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as error:
        path = Path(connection.execute("PRAGMA database_list").fetchone()["file"])
        raise _unusable(error, path) from error


def _version(connection: Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: Connection, path: Path) -> None:
    with locked(path.parent):
        version = _version(connection)  # another process may just have done it
        if version > SCHEMA:
            raise EnvironmentProblem(
                f"{path} was written by a newer wf (schema {version}, this one knows {SCHEMA})",
                hint="Update wf to use this project.",
            )
        connection.execute("PRAGMA journal_mode = WAL")
        for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
            connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")


def _unusable(error: sqlite3.Error, path: Path) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the history in {path} cannot be used: {error}",
        hint="Check that the disk has space and that you may write there.",
    )

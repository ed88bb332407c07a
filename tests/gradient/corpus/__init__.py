"""Workflow files in the styles of real ones, and what is known of each.

A file under `accepted/` says in its first lines what becomes of it, and why it is there:

    # Section 6: what it is about, with the section of the format's description.
    # warns TEXT        a warning, in the order in which they come
    # prints JOB: LINE  a line of a job's log
    # notes JOB: TEXT   what is noted about a job
    # ends JOB STATE    how a job ends, and why; without any such line, all succeed
    # inputs TEXT       the file that is given with `--inputs`

Next to a file under `rejected/` lies what is said about it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.programs.git_server import GitServer, Repository, serving
from tests.projects import REPOSITORY
from wf.store import Store

FOLDER = Path(__file__).parent
SECRETS = {"WANDB": "a-secret-of-22-letters", "GIT_TOKEN": "a-token-for-the-robot"}
_STATES = ("succeeded", "failed", "skipped")


@dataclass(frozen=True)
class Accepted:
    """A file that runs."""

    path: Path

    @property
    def name(self) -> str:
        """For people."""
        return self.path.stem

    def said(self, word: str) -> list[str]:
        """What its first lines say with this word."""
        return re.findall(rf"^# {word} (.*)$", self.path.read_text(), re.MULTILINE)


ACCEPTED = [Accepted(path) for path in sorted((FOLDER / "accepted").glob("*.yaml"))]
REJECTED = sorted((FOLDER / "rejected").glob("*.yaml"))


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    prints: list[str]
    notes: list[str]
    ends: list[str]
    errors: str
    """What was printed beside the events."""


class CorpusProject:
    """A repository with data sets, images that stand in for all others, and the files as its workflows."""

    def __init__(self, root: Path, base_image: str, addresses: dict[str, str]) -> None:
        self.root = root
        repository = Repository(root)
        repository.commit(hello_txt="the first release\n")
        repository.git("tag", "v0.1.0")
        (root / "start.sh").write_text('#!/bin/bash\necho "started by -$([ -x "$0" ] && echo x)"\n')
        (root / "start.sh").chmod(0o755)
        repository.commit(
            hello_txt="hello from the code\n",
            train_py='import os, sys\nprint("trained", sys.argv[1] + ",", sum(map(os.path.exists, ("data", ".cache"))),'
            ' "files beside it")\nopen("weights.txt", "w").write("1.5")\n',
            package__setup_py="from setuptools import setup\n"
            'setup(name="greeting", version="1.5", py_modules=["greeting"])\n',
            package__greeting_py="VERSION = 1.5\n",
        )
        (root / "containers").symlink_to(REPOSITORY / "containers")
        aliases = {"paperspace/gradient-sdk*": "./containers/gradient-sdk", "*": base_image}
        lines = [f"{json.dumps(old)} = {json.dumps(new)}" for old, new in aliases.items()]
        (root / "wf.toml").write_text("\n".join(["[images]", *lines]) + "\n")
        version = self._import_datasets()
        (root / ".gradient" / "workflows").mkdir(parents=True)
        for case in ACCEPTED:
            text = case.path.read_text().replace("dsr8k5qzn401lb5:VERSION", f"dsr8k5qzn401lb5:{version}")
            for name, address in addresses.items():
                text = text.replace(f"https://{name}", address)
            self.path(case).write_text(text)

    def path(self, case: Accepted) -> Path:
        """Where the project has the file."""
        return self.root / ".gradient" / "workflows" / case.path.name

    def run(self, case: Accepted) -> Outcome:
        """Run it as a user would."""
        command = [sys.executable, "-m", "wf", "run", str(self.path(case)), "--output", "json", "--backend", "docker"]
        for number, text in enumerate(case.said("inputs")):
            values = self.root / f"{case.name}-{number}.json"
            values.write_text(text)
            command += ["--inputs", str(values)]
        secrets = {f"WF_SECRET_{name}": value for name, value in SECRETS.items()}
        env = {**os.environ, **secrets, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False, timeout=300)
        prints, notes, ends = [], [], []
        for event in map(json.loads, done.stdout.splitlines()):
            match event["event"]:
                case "JobLog":
                    prints += [f"{event['job']}: {line}" for line in event["lines"]]
                case "JobNote":
                    notes.append(f"{event['job']}: {event['message']}")
                case "JobFinished":
                    error = f": {event['error']}" if event["error"] else ""
                    ends.append(f"{event['job']} {event['state']}{error}")
        return Outcome(prints, notes, ends, done.stderr)

    def _import_datasets(self) -> str:
        """Returns the first version of the dataset that has an id of the service's."""
        store = Store.open(self.root)
        folder = self.root.parent / "data"
        folder.mkdir()
        (folder / "hello.txt").write_text("the first version\n")
        first = store.datasets.import_path("greetings", folder).version
        store.datasets.tag(first.ref, "first")
        store.datasets.alias("dsr8k5qzn401lb5", "greetings")
        (folder / "hello.txt").write_text("hello from a dataset\n")
        store.datasets.import_path("greetings", folder)
        store.datasets.import_path("gradient/mnist", folder)
        (folder / "hello.txt").unlink()
        (folder / "count.txt").write_text("1\n")
        store.datasets.import_path("counter", folder)
        store.close()
        return first.version


@contextmanager
def corpus_project(folder: Path, base_image: str) -> Iterator[CorpusProject]:
    """The project, with a server for its repository, and one that wants a password."""
    served = folder / "served" / "team"
    served.mkdir(parents=True)
    for name in ("project", "project.git"):
        (served / name).symlink_to(folder / "project" / ".git")
    with ExitStack() as stack:
        public = stack.enter_context(serving(GitServer(served.parent)))
        private = stack.enter_context(serving(GitServer(served.parent, login=f"robot:{SECRETS['GIT_TOKEN']}")))
        addresses = {"git.example.com": public.address, "private.example.com": private.address}
        yield CorpusProject(folder / "project", base_image, addresses)

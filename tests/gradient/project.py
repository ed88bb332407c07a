"""Workflows in the Gradient format, run as they would be by `wf run`, and what came of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from tests.harness import story
from tests.projects import REPOSITORY, compile_text
from wf.aliases import apply_aliases
from wf.backends.choose import choose
from wf.events import Event, JobLog
from wf.runner import RunResult, run_plan
from wf.secrets import Secrets
from wf.settings import load_settings
from wf.store import Store

if TYPE_CHECKING:
    from wf.control.http import Handler


_DOCKERFILE = 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY serve.py /\nENTRYPOINT ["python3", "/serve.py"]\n'


class Gradient:
    """A project without steps. `IMAGE` in a workflow stands for an image that is there."""

    def __init__(self, root: Path, image: str) -> None:
        self.root = root
        self.image = image
        self.events: list[Event] = []
        self.handlers: tuple[Handler, ...] = ()
        """Who answers what jobs ask `wf` for."""

    def use_images(self, aliases: Mapping[str, str], **folders: str) -> None:
        """Let images stand in for others; besides this repository's, some that these scripts serve from their folder.

        `folders` are images of the project: name -> what `/serve.py` does in it.
        """
        lines = [f"{json.dumps(old)} = {json.dumps(new)}" for old, new in aliases.items()]
        (self.root / "wf.toml").write_text("\n".join(["[images]", *lines]) + "\n")
        (self.root / "steps").symlink_to(REPOSITORY / "steps")
        containers = self.root / "containers"
        containers.mkdir()
        for folder in (REPOSITORY / "containers").iterdir():
            if folder.name not in folders:
                (containers / folder.name).symlink_to(folder)
        for name, program in folders.items():
            (containers / name).mkdir()
            (containers / name / "Dockerfile").write_text(_DOCKERFILE)
            (containers / name / "serve.py").write_text(program)

    def run(self, workflow: str, **secrets: str) -> RunResult:
        """Run a workflow in Docker."""
        plan = compile_text(self.root, workflow.replace("IMAGE", self.image))
        settings = load_settings(self.root)
        plan = apply_aliases(plan, settings.images)
        backend, _ = choose("docker", self.root, settings)
        self.events.clear()
        return run_plan(
            plan,
            backend=backend,
            store=Store.open(self.root),
            secrets=Secrets([secrets.get]),
            emit=self.events.append,
            jobs=2,
            handlers=self.handlers,
        )

    def script(self, script: str, rest: str = "") -> list[str]:
        """Run one job `A` with this script, and what `rest` adds to the job; returns what it printed."""
        body = dedent(script).strip("\n").replace("\n", "\n        ")
        job = f"  A:\n    uses: script@v1\n    with:\n      image: IMAGE\n      script: |-\n        {body}\n"
        self.run(f"jobs:\n{job}" + "".join(f"    {line}\n" for line in rest.splitlines()))
        return self.log("A")

    def log(self, job: str) -> list[str]:
        """What a job of the last run printed."""
        return [line for event in self.events if isinstance(event, JobLog) and event.job == job for line in event.lines]

    def store(self) -> Store:
        """The project's store."""
        return Store.open(self.root)

    def story(self) -> list[str]:
        """How the jobs ended, and what was noted."""
        return story(self.events)

    def output(self, job: str, name: str) -> Path:
        """What a job of the last run left: a file or a folder."""
        store = Store.open(self.root)
        record = next(each for each in store.history.jobs(store.history.run().id) if each.name == job)
        return store.artifacts.path(next(each.digest for each in record.outputs if each.name == name))


def build(client: Any, base: str, tag: str, **config: Any) -> str:
    """Make an image out of another one: the same files, other settings."""
    container = client.create_container(base, ["true"])["Id"]
    try:
        repository, _, version = tag.partition(":")
        client.commit(container, repository, version, conf=config)
    finally:
        client.remove_container(container)
    return tag

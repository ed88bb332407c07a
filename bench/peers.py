"""The same jobs for other tools, each in a virtual environment of its own beside the measurements."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.projects import Shape

NO_OP = f"{sys.executable} -c pass"


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool: what pip installs, a function that writes its files, and its command."""

    packages: tuple[str, ...]
    kind: str
    """`process` or `docker`."""
    write: Callable[[Path, Shape, str], None]
    command: Callable[[Path, Shape], list[str]]
    """From the folder of its programs."""
    reset: tuple[str, ...]
    """What makes it forget, as globs in its folder."""


def install(name: str, peer: Peer, folder: Path) -> Path:
    """Make its environment, if it is not there; returns the folder of its programs. Raises CalledProcessError."""
    home = folder / "venvs" / name
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True, capture_output=True)
        pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", *peer.packages]
        subprocess.run(pip, check=True, capture_output=True)
        (home / "ready").touch()
    return home / "bin"


def _doit(folder: Path, shape: Shape, _image: str) -> None:
    needs = '[f"out{n - 1}"] if n else []' if shape == "chain" else "[]"
    (folder / "dodo.py").write_text(
        "def task_job():\n    for n in range(20):\n"
        f'        yield {{"name": str(n), "actions": [f"{NO_OP} && echo {{n}} > out{{n}}"], '
        f'"file_dep": {needs}, "targets": [f"out{{n}}"], "uptodate": [True]}}\n'
    )


def _luigi(folder: Path, shape: Shape, _image: str) -> None:
    needs = "return Job(n=self.n - 1) if self.n else []" if shape == "chain" else "return []"
    (folder / "jobs.py").write_text(
        "import subprocess, luigi\n\n\nclass Job(luigi.Task):\n    n = luigi.IntParameter()\n\n"
        f"    def requires(self):\n        {needs}\n\n"
        '    def output(self):\n        return luigi.LocalTarget(f"out{self.n}")\n\n'
        f'    def run(self):\n        subprocess.run("{NO_OP}".split(), check=True)\n'
        '        with self.output().open("w") as file:\n            file.write(str(self.n))\n\n\n'
        "class All(luigi.WrapperTask):\n    def requires(self):\n        return [Job(n=n) for n in range(20)]\n"
    )


def _snakemake(folder: Path, shape: Shape, _image: str) -> None:
    rules = ["rule all:\n    input: [f'out{n}' for n in range(20)]\n"]
    for number in range(20):
        needs = f"    input: 'out{number - 1}'\n" if shape == "chain" and number else ""
        rules.append(
            f"rule job{number}:\n{needs}    output: 'out{number}'\n    shell: '{NO_OP} && echo > {{output}}'\n"
        )
    (folder / "Snakefile").write_text("\n".join(rules))


def _dvc(folder: Path, shape: Shape, _image: str) -> None:
    stages = ["stages:"]
    for number in range(20):
        stages += [f"  job{number}:", f"    cmd: {NO_OP} && echo {number} > out{number}"]
        stages += [f"    deps: [out{number - 1}]"] if shape == "chain" and number else []
        stages.append(f"    outs: [out{number}]")
    (folder / "dvc.yaml").write_text("\n".join(stages) + "\n")
    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def _kfp(folder: Path, shape: Shape, image: str) -> None:
    body = (
        "    last = None\n    for n in range(20):\n        task = job()\n"
        "        last and task.after(last)\n        last = task\n"
        if shape == "chain"
        else "    with dsl.ParallelFor(list(range(20)), parallelism=2):\n        job()\n"
    )
    (folder / "jobs.py").write_text(
        "from kfp import dsl, local\n\nlocal.init(local.DockerRunner())\n\n\n@dsl.container_component\ndef job():\n"
        f'    return dsl.ContainerSpec(image="{image}", command=["python3", "-c", "pass"])\n\n\n'
        f"@dsl.pipeline\ndef jobs():\n{body}\n\njobs()\n"
    )


PEERS = {
    "doit": Peer(("doit",), "process", _doit, lambda bin_, _: [f"{bin_}/doit", "-n", "2"], ("out*", ".doit.db*")),
    "luigi": Peer(
        ("luigi", "setuptools<81"),
        "process",
        _luigi,
        lambda bin_, _: [
            f"{bin_}/python",
            "-m",
            "luigi",
            "--module",
            "jobs",
            "All",
            "--local-scheduler",
            "--workers=2",
        ],
        ("out*",),
    ),
    "snakemake": Peer(
        ("snakemake",), "process", _snakemake, lambda bin_, _: [f"{bin_}/snakemake", "-c", "2"], ("out*", ".snakemake")
    ),
    "dvc": Peer(
        ("dvc",),
        "process",
        _dvc,
        lambda bin_, _: [f"{bin_}/dvc", "repro"],
        ("out*", "dvc.lock", ".dvc/cache", ".dvc/tmp"),
    ),
    "kfp": Peer(("kfp", "docker"), "docker", _kfp, lambda bin_, _: [f"{bin_}/python", "jobs.py"], ("local_outputs",)),
}

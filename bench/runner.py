"""Times `wf` beside the floor, a plain loop of the same jobs, and beside peers, in rounds that take turns.

python -m bench.runner                               everything of wf and the floor
python -m bench.runner cached plan --rounds 9        some groups
python -m bench.runner docker process --peers doit,luigi,kfp
python -m bench.runner --write docs/benchmarks.md    the table there, between its two marks
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.peers import PEERS, install
from bench.projects import BIG_STEP, Shape, docker_loop, make_project, process_loop
from bench.timing import Contender, Result, compare

WF = (sys.executable, "-m", "wf")
REPOSITORY = Path(__file__).parents[1]
IMAGE = os.environ.get("WF_BASE_IMAGE", "wf/base:bookworm")
_GIB = 1 << 30
BEGIN, END = "<!-- bench.runner begins -->", "<!-- bench.runner ends -->"


class Bench:
    """The measurements, each a group of contenders of which the first is the floor."""

    def __init__(self, folder: Path, peers: Sequence[str], venvs: Path, gib: int = 10) -> None:
        self._folder = folder
        self._project = folder / "project"
        self._peers = peers
        self._venvs = venvs
        self._gib = gib
        self.notes: list[str] = []
        make_project(self._project, IMAGE)

    def groups(self) -> dict[str, Callable[[], Iterator[tuple[str, list[Contender]]]]]:
        """Name -> what makes the titles and contenders of a group."""
        return {
            "docker": partial(self._jobs, "docker"),
            "process": partial(self._jobs, "process"),
            "cached": self._cached,
            "plan": self._plan,
            "start": self._start,
            "logs": self._logs,
            "artifacts": self._artifacts,
            "hash": self._hash,
        }

    def _jobs(self, kind: str) -> Iterator[tuple[str, list[Contender]]]:
        shapes: tuple[tuple[Shape, str], ...] = (("chain", "20 in a row"), ("flat", "20 independent, two at once"))
        for shape, title in shapes:
            loop = docker_loop(IMAGE, shape) if kind == "docker" else process_loop(shape)
            environ = {"WF_OUTPUTS": str(self._folder), "PYTHONPATH": str(self._project)}
            (self._folder / "out").mkdir(exist_ok=True)
            floor = Contender("loop", loop, self._project, environ if kind == "process" else {})
            wf = self._wf("wf", "run", f"{kind}-{shape}.yaml", "--no-cache", "-j2", "--backend", kind)
            bare = [self._bare(shape)] if kind == "docker" else []
            yield f"{title}, {kind}", [floor, *bare, wf, *self._peer_contenders(kind, shape)]

    def _cached(self) -> Iterator[tuple[str, list[Contender]]]:
        for kind in ("docker", "process"):
            wf = self._wf("wf", "run", f"{kind}-chain.yaml", "--backend", kind)
            yield f"20 jobs, all cached, {kind}", [self._python(), self._done_before(wf)]
        many = self._wf("wf", "run", "process-1000.yaml", "--backend", "process")
        yield "1,000 jobs, all cached", [self._python(), self._done_before(many)]
        for name in self._peers:
            if PEERS[name].kind == "process":
                cached = [
                    self._done_before(each) for each in self._peer_contenders("process", "chain", only=name, keep=True)
                ]
                yield f"20 jobs, all cached, {name}", [self._python(), *cached]

    def _plan(self) -> Iterator[tuple[str, list[Contender]]]:
        forget = partial(shutil.rmtree, self._project / ".wf", ignore_errors=True)
        first = self._wf("wf plan, compiled", "plan", "docker-10000.yaml", before=forget)
        yield "plan of 10,000 jobs", [self._python(), first]

    def _start(self) -> Iterator[tuple[str, list[Contender]]]:
        yield "help", [self._python(), self._wf("wf --help", "--help")]
        one = ["docker", "run", "--rm", IMAGE, "python3", "-c", "pass"]
        wf = self._wf("wf", "run", "docker-one.yaml", "--no-cache", "--backend", "docker")
        yield "one container, from the command to its end", [Contender("docker run", one, self._project), wf]
        said = "reached"
        (self._project / "first.yaml").write_text(
            f"jobs: {{a: {{uses: container@v1, with: {{image: '{IMAGE}', command: echo, args: [{said}]}}}}}}\n"
        )
        docker = Contender("docker run", ["docker", "run", "--rm", IMAGE, "echo", said], self._project, until=said)
        first = self._wf("wf", "run", "first.yaml", "--backend", "docker", "--output", "plain")
        yield "until the first line of the first container", [docker, replace(first, until=said)]

    def _logs(self) -> Iterator[tuple[str, list[Contender]]]:
        lines = _GIB // 100 + 1  # of 100 bytes
        printing = f"yes {'x' * 99} | head -n {lines}"
        (self._project / "log.yaml").write_text(
            f"jobs: {{a: {{uses: script@v1, with: {{image: '{IMAGE}', script: '{printing}'}}}}}}\n"
        )
        loop = f"id=$(docker run -d {IMAGE} sh -c '{printing}'); docker logs -f $id > log; docker rm $id"
        floor = Contender("docker logs > file", ["bash", "-ec", loop], self._folder)
        run = f"exec {' '.join(WF)} run log.yaml --backend docker --output plain > /dev/null"
        wf = Contender("wf > /dev/null", ["bash", "-c", run], self._project, {"PYTHONPATH": str(REPOSITORY)})
        yield f"{lines * 100 >> 20} MiB of log from one job", [floor, wf]
        logs = sorted(self._project.glob(".wf/runs/*/jobs/a/log"))
        kept = [sum(block.count(b"\n") for block in _blocks(log)) for log in logs]
        self.notes.append(f"lines that were lost of {lines}: {[lines - count for count in kept]}")

    def _artifacts(self) -> Iterator[tuple[str, list[Contender]]]:
        (self._project / "steps/big.py").write_text(BIG_STEP)
        (self._project / "steps/__init__.py").write_text('STEPS = {"write": "steps.write", "big": "steps.big"}\n')
        (self._project / "big.yaml").write_text(
            f"jobs: {{a: {{uses: ./steps/big, with: {{gib: {self._gib}}}, outputs: {{out: {{type: volume}}}}}}}}\n"
        )
        hit = self._done_before(self._wf("wf, a hit", "run", "big.yaml", "--backend", "process"))
        before = shutil.disk_usage(self._project).used
        yield f"{self._gib} GiB that one job has left, cached", [self._python(), hit]
        taken = shutil.disk_usage(self._project).used - before
        self.notes.append(f"disk that the hits on {self._gib} GiB took: {max(0, taken) >> 20} MiB")
        shutil.rmtree(self._project / ".wf", ignore_errors=True)

    def _hash(self) -> Iterator[tuple[str, list[Contender]]]:
        folder = self._folder / "data"
        folder.mkdir()
        for number in range(8):
            with (folder / str(number)).open("wb") as file:
                for _ in range(self._gib * 128):
                    file.write(os.urandom(1 << 20))
        program = "import sys; from pathlib import Path; from wf.store.artifacts import read_manifest as read; "
        own = [sys.executable, "-c", program + "print(read(Path(sys.argv[1])).artifact.digest)", str(folder)]
        best = f"find {folder} -type f -print0 | xargs -0 -n 1 -P {os.cpu_count()} openssl dgst -sha256 > /dev/null"
        yield (
            f"SHA-256 of {self._gib} GiB in 8 files",
            [
                Contender("openssl, one process for each core", ["bash", "-ec", best], self._folder),
                Contender("wf", own, self._folder, {"PYTHONPATH": str(REPOSITORY)}),
            ],
        )

    def _wf(self, name: str, *words: str, before: Callable[[], None] = lambda: None) -> Contender:
        return Contender(name, [*WF, *words], self._project, {"PYTHONPATH": str(REPOSITORY)}, before)

    def _bare(self, shape: Shape) -> Contender:
        words = [sys.executable, "-m", "bench.bare", IMAGE, "--lanes", "1" if shape == "chain" else "2"]
        return Contender("the engine's interface alone", words, self._project, {"PYTHONPATH": str(REPOSITORY)})

    def _python(self) -> Contender:
        return Contender("python -c pass", [sys.executable, "-c", "pass"], self._project)

    def _peer_contenders(self, kind: str, shape: Shape, *, only: str = "", keep: bool = False) -> Iterator[Contender]:
        for name in [only] if only else self._peers:
            peer = PEERS[name]
            if peer.kind != kind:
                continue
            try:
                programs = install(name, peer, self._venvs)
            except subprocess.CalledProcessError as error:
                self.notes.append(f"{name} does not install here: {error.stderr.decode()[-200:].strip()}")
                continue
            folder = self._folder / f"{name}-{shape}"
            folder.mkdir(exist_ok=True)
            peer.write(folder, shape, IMAGE)
            before = (lambda: None) if keep else partial(_forget, folder, peer.reset)
            yield Contender(name, peer.command(programs, shape), folder, {"PYTHONPATH": str(folder)}, before)

    @staticmethod
    def _done_before(contender: Contender) -> Contender:
        """The same, after a run that has done everything."""
        compare([contender], 1)
        return contender


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _forget(folder: Path, globs: Sequence[str]) -> None:
    for pattern in globs:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def table(title: str, results: Sequence[Result]) -> list[str]:
    """Rows of a Markdown table."""
    rows = []
    floor = results[0]
    for result in results:
        if result.failure or not result.walls:
            rows.append(f"| {title} | {result.name} | failed: {result.failure[:60]} | | | |")
            continue
        ratio = result.median / floor.median if floor.walls else 0.0
        rows.append(
            f"| {title} | {result.name} | {min(result.walls):.2f} | {result.median:.2f} | {min(result.cpus):.2f} "
            f"| {ratio:.2f} |"
        )
    return rows


def main() -> int:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", help="docker, process, cached, plan, start, logs, artifacts, hash")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="", help=f"of {', '.join(PEERS)}; they are installed under --venvs")
    parser.add_argument("--venvs", type=Path, default=Path(tempfile.gettempdir()) / "wf-bench")
    parser.add_argument("--gib", type=int, default=10, help="how much data the groups artifacts and hash make (10)")
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    peers = [name for name in arguments.peers.split(",") if name]
    with tempfile.TemporaryDirectory(prefix="wf-bench-") as folder:
        bench = Bench(Path(folder), peers, arguments.venvs, arguments.gib)
        rows = [
            "| what | who | least s | median s | own CPU s | of the first |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        print(*rows, sep="\n")
        for name in arguments.groups or bench.groups():
            for title, contenders in bench.groups()[name]():
                results = compare(contenders, arguments.rounds)
                lines = table(title, results)
                print(*lines, sep="\n", flush=True)
                rows += lines
                if name in ("plan", "logs"):
                    bench.notes.append(f"peak memory of {title}: {results[-1].peak >> 20} MiB")
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    command = " ".join(["python -m bench.runner", *sys.argv[1:]])
    foot = [f"{datetime.now(UTC):%Y-%m-%d}, {where}, load {load}: `{command}`", *bench.notes]
    print("", *foot, sep="\n")
    if arguments.write:
        text = arguments.write.read_text(encoding="utf-8")
        above, _, below = text.partition(BEGIN)
        new = [f"{above}{BEGIN}", "", *rows, "", *foot, "", END + below.partition(END)[2]]
        arguments.write.write_text("\n".join(new), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

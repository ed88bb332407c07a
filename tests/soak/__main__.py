"""Load on a deployment of the model server while everything happens to it: `make soak SECONDS=600`.

Ten swaps to a new model, and after each of them something bad: replicas and the proxy are killed, a replica hangs, the
disk is full, the engine is restarted, and models are broken, slow or answer errors. What was lost is counted by what
was going on.

Ends with 1 if a swap, a full disk, or a model that went back before it had requests, has lost a request, if a replica
has cost more than what it was working on, if the wrong model serves, or if anything is left over.

As root it has a small disk of its own, which it fills. With `--restart-engine` it has an engine of its own, too.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.deployments.lab import Lab
from tests.faults.engine import PrivateEngine
from tests.projects import REPOSITORY, make_project
from tests.soak.models import import_models
from tests.soak.soak import SWAPS, Soak
from wf.aliases import find_image
from wf.backends.services import Services
from wf.deployments import liveness, proxy
from wf.settings import load_settings
from wf.store import Store

_DISK = "256m"


def main() -> int:
    """Run it in a project of its own; what it made is removed whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--restart-engine", action="store_true", help="use an engine of its own; needs root")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was made is removed then, too
    with tempfile.TemporaryDirectory() as folder, ExitStack() as cleanup:
        root = Path(folder) / "project"
        root.mkdir()
        make_project(root, "jobs: {}")
        (root / "wf.toml").write_text((REPOSITORY / "wf.toml").read_text())
        engine = None
        if os.geteuid() == 0:
            cleanup.enter_context(_small_disk(root / ".wf"))
        if arguments.restart_engine:
            engine = PrivateEngine(Path(folder) / "engine", *_images(), bridge="wfsoak0", subnet="10.213.78.1/24")
            cleanup.callback(engine.close)
            os.environ["DOCKER_HOST"] = engine.address
        store = Store.open(root)
        import_models(store, Path(folder) / "models", SWAPS)
        store.close()
        lab = Lab(root, "tensorflow/serving")
        cleanup.callback(lab.clean)
        soak = Soak(lab, engine, lambda line: print(line, flush=True))
        soak.run(arguments.seconds)
        lab.deployments.delete("it", by="soak")
        left = [*lab.containers(), *lab.networks(), *(each.name for each in (root / ".wf/deployments").iterdir())]
    return soak.conclude(left)


def _images() -> list[str]:
    """The images that a deployment needs, built by this machine's engine if need be, for another engine to load."""
    settings = load_settings(REPOSITORY)
    with Services(REPOSITORY, settings, lambda event: None) as services:
        names = ("./containers/base", "./containers/serve-packages", "tensorflow/serving", proxy.IMAGE, liveness.IMAGE)
        ids = {services.image(find_image(name, settings.images, REPOSITORY)) for name in names}
    listed = subprocess.run(
        ["docker", "images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    tags = [line.split()[1] for line in listed.stdout.splitlines() if line.split()[0] in ids]
    return [*tags, settings.docker.base_images[-1]]


@contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "wf-soak", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


if __name__ == "__main__":
    sys.exit(main())

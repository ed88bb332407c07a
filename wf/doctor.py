"""What works on this machine, what does not, and what to do about it."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from wf.backends.engine import Engine, find_engine, reporting
from wf.backends.preflight import ROOM_TO_START, size_text
from wf.backends.process import has_gpu, installed_packages, missing_packages
from wf.errors import EnvironmentProblem
from wf.host import CA_VARIABLES, HostNetwork, read_host_network
from wf.settings import Settings

State = Literal["ok", "warning", "problem"]
MARKS: dict[State, str] = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}
ROOM_FOR_AN_IMAGE = 6 << 30
"""What building containers/train for the CPU needs, stages included."""
PATIENCE = 3
"""Seconds that a registry has to answer."""


class Check(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: State
    detail: str
    advice: str = ""


def examine(root: Path, settings: Settings, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Look at everything, the slow things at once."""
    host = read_host_network(environ, settings.ca_bundle)
    engine, docker = _look_for_engine()
    looks: list[Callable[[], list[Check]]] = [
        lambda: [docker],
        lambda: _check_disks(root, engine),
        lambda: _check_base_image(engine, settings),
        lambda: [_check_registry(environ)],
        lambda: [_check_gpu(engine)],
        lambda: [_check_ca(host, environ), _check_proxy(host), _check_mirrors(host)],
        lambda: [_check_packages()],
        lambda: _check_leftovers(engine),
    ]
    with ThreadPoolExecutor() as pool:
        return [check for found in pool.map(_safely, looks) for check in found]


def render(checks: list[Check]) -> str:
    """The checks as lines, each advice under its check."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{MARKS[check.state]:8} {check.name:{width}}  {check.detail}")
        lines += [f"{'':8} {'':{width}}  -> {line}" for line in check.advice.splitlines()]
    return "\n".join(lines)


def _safely(look: Callable[[], list[Check]]) -> list[Check]:
    """A machine that is broken in a way nobody foresaw is what a doctor is for: it must not break on it too."""
    try:
        return look()
    except EnvironmentProblem as problem:
        return [Check("docker", "problem", str(problem), problem.hint)]
    except Exception as error:  # noqa: BLE001
        return [Check("doctor", "problem", f"a check failed: {type(error).__name__}: {error}")]


def _look_for_engine() -> tuple[Engine | None, Check]:
    try:
        engine = find_engine(timeout=PATIENCE)
    except EnvironmentProblem as problem:
        advice = f"{problem.hint}\nUntil then, workflows of steps run as plain processes."
        return None, Check("docker", "warning", str(problem), advice)
    details = (
        f"{engine.version} at {engine.address}",
        f"API {engine.api}",
        f"{engine.info.get('Driver', '?')} storage",
        f"cgroup v{engine.info.get('CgroupVersion', '1')}",
        f"{engine.cpus} CPUs",
        size_text(engine.memory),
    )
    return engine, Check("docker", "ok", ", ".join(details))


def _check_disks(root: Path, engine: Engine | None) -> list[Check]:
    checks = [_disk("project disk", root, ROOM_TO_START, "")]
    if engine is not None and engine.is_local:
        advice = "`docker system df` shows what takes the room; `docker image prune` removes images without a name."
        checks.append(_disk("docker disk", engine.root, ROOM_FOR_AN_IMAGE, advice))
    return checks


def _disk(name: str, folder: Path, wanted: int, advice: str) -> Check:
    free = shutil.disk_usage(folder).free
    detail = f"{size_text(free)} free at {folder}"
    if free < ROOM_TO_START:
        return Check(name, "problem", f"{detail}: no run starts with less than {size_text(ROOM_TO_START)}", advice)
    if free < wanted:
        return Check(name, "warning", f"{detail}: an image with TensorFlow takes {size_text(wanted)} to build", advice)
    return Check(name, "ok", detail)


def _check_base_image(engine: Engine | None, settings: Settings) -> list[Check]:
    if engine is None:
        return []
    wanted = settings.docker.base_images
    client = engine.connect()
    try:
        with reporting("images cannot be listed"):
            known = {tag for image in client.images() for tag in image["RepoTags"] or ()}
    finally:
        client.close()
    for ref in wanted:
        if ref in known or f"{ref}:latest" in known:
            return [Check("base image", "ok", ref)]
    return [
        Check(
            "base image",
            "warning",
            f"none of {', '.join(wanted)} is in the engine: the first build pulls one",
            "Where no registry answers, run `containers/base/bootstrap`, or name an image in WF_BASE_IMAGE.",
        )
    ]


def _check_registry(environ: Mapping[str, str]) -> Check:
    """Whether a connection to Docker Hub can be opened from here, through a proxy where one is set."""
    host, port = "registry-1.docker.io", 443
    if proxy := environ.get("https_proxy") or environ.get("HTTPS_PROXY"):
        parts = urlsplit(proxy)
        host, port = parts.hostname or host, parts.port or 80
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError as error:
        advice = "Images that the engine has already work; others cannot be pulled from Docker Hub."
        return Check("registry", "warning", f"{host}:{port} does not answer: {error}", advice)
    return Check("registry", "ok", f"{host}:{port} answers")


def _check_gpu(engine: Engine | None) -> Check:
    if engine is not None and engine.gpu_driver:
        return Check("gpu", "ok", f"the engine hands out NVIDIA GPUs ({engine.gpu_driver})")
    if not has_gpu():
        return Check("gpu", "ok", "none: jobs with `gpus: auto` run on the CPU")
    advice = "Install the NVIDIA Container Toolkit and run `nvidia-ctk runtime configure --runtime=docker`."
    return Check("gpu", "warning", "this machine has one, but no container can use it", advice)


def _check_ca(host: HostNetwork, environ: Mapping[str, str]) -> Check:
    missing = [
        f"{name}={environ[name]}" for name in CA_VARIABLES if environ.get(name) and not Path(environ[name]).is_file()
    ]
    if missing:
        return Check("ca bundle", "problem", f"no such file: {', '.join(missing)}", "Correct or unset the variable.")
    if host.ca_bundle:
        return Check("ca bundle", "ok", f"{host.ca_bundle}, passed on to builds and to jobs with a network")
    return Check("ca bundle", "ok", "none of its own")


def _check_proxy(host: HostNetwork) -> Check:
    if not host.proxies:
        return Check("proxy", "ok", "none")
    names = {name: urlsplit(value) for name, value in host.proxies.items() if name.islower() and name != "no_proxy"}
    # Without user and password: what a doctor prints is sent around.
    shown = ", ".join(f"{name}={parts.hostname}:{parts.port or 80}" for name, parts in names.items())
    if any(parts.hostname in {"localhost", "127.0.0.1", "::1"} for parts in names.values()):
        advice = "In a container, localhost is the container: name the machine's address in the Docker network instead."
        return Check("proxy", "warning", f"{shown}: containers cannot reach it there", advice)
    return Check("proxy", "ok", f"{shown or 'no_proxy only'}, passed on to builds and to jobs with a network")


def _check_mirrors(host: HostNetwork) -> Check:
    if not host.pip:
        return Check("pip mirror", "ok", "none that a container could reach")
    return Check("pip mirror", "ok", f"{', '.join(host.pip)}, passed on to builds and to jobs with a network")


def _check_packages() -> Check:
    if missing := missing_packages(installed_packages()):
        advice = "Needed only to run steps without Docker: pip install -e '.[steps]'"
        return Check("python", "warning", f"{sys.prefix} lacks {', '.join(missing)}", advice)
    return Check("python", "ok", f"{sys.version.split()[0]} in {sys.prefix}, with all that steps need without Docker")


def _check_leftovers(engine: Engine | None) -> list[Check]:
    if engine is None:
        return []
    client = engine.connect()
    try:
        with reporting("containers cannot be listed"):
            left = client.containers(all=True, filters={"label": "wf=1", "status": ["exited", "created", "dead"]})
    finally:
        client.close()
    if not left:
        return [Check("leftovers", "ok", "no dead container of wf")]
    names = ", ".join(container["Names"][0].lstrip("/") for container in left)
    advice = "The next run in their project removes them; so does `docker container prune --filter label=wf`."
    return [Check("leftovers", "warning", names, advice)]

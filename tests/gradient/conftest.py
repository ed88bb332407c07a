"""Projects in the Gradient format, and small images that say more than the base image does."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments.lab import Lab
from tests.gradient.project import Gradient, build
from tests.projects import REPOSITORY
from wf.backends.engine import find_engine
from wf.backends.images import Images, Wanted
from wf.gradient.emulator import Emulator
from wf.host import read_host_network
from wf.plan import ProjectImage
from wf.settings import load_settings

TF_SERVING = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
base, name = os.environ["MODEL_BASE_PATH"], os.environ["MODEL_NAME"]
epochs = float(open(f"{base}/{name}/1/saved_model.pb").read())
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.say({"model_version_status": [{"version": "1", "state": "AVAILABLE"}]})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == f"/v1/models/{name}:predict"
        self.say({"predictions": [{"output_3": [epochs]} for each in asked["instances"]]})
    def say(self, answer):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
ThreadingHTTPServer(("", 8501), Handler).serve_forever()
"""
"""Answers as TensorFlow Serving does, where the model lies where that looks for it."""


@pytest.fixture
def gradient(tmp_path: Path, base_image: str) -> Gradient:
    """A project whose image is the base image: no entrypoint, root, `/`."""
    return Gradient(tmp_path, base_image)


@pytest.fixture(scope="session")
def opinionated_image(base_image: str) -> Iterator[str]:
    """An image with an entrypoint, a command, a working directory, a user and a variable of its own."""
    with contextlib.closing(find_engine().connect()) as client:
        tag = build(
            client,
            base_image,
            "wf-test/opinionated:1",
            Entrypoint=["echo", "entrypoint"],
            Cmd=["command"],
            WorkingDir="/srv/app",
            User="1234:1234",
            Env=["CITY=Oslo", "RIVER=Aker", "PATH=/usr/local/bin:/usr/bin:/bin"],
        )
        yield tag
        client.remove_image(tag)


@pytest.fixture
def opinionated(tmp_path: Path, opinionated_image: str) -> Gradient:
    """A project whose image has opinions."""
    return Gradient(tmp_path, opinionated_image)


@pytest.fixture(scope="session")
def client_image() -> str:
    """The image that stands in for paperspace/gradient-sdk."""
    wanted = Wanted(ProjectImage("gradient-sdk", REPOSITORY / "containers" / "gradient-sdk"))
    settings = load_settings(REPOSITORY).docker
    images = Images(find_engine(), REPOSITORY, settings, read_host_network(os.environ), lambda _: None)
    try:
        return images.ensure([wanted])[wanted]
    finally:
        images.close()


@pytest.fixture
def client(tmp_path: Path, client_image: str, base_image: str) -> Iterator[Gradient]:
    """A project whose scripts run in that image, with stand-ins for others; no deployment of it is left."""
    with answering(tmp_path, client_image, base_image, serve=TF_SERVING) as gradient:
        yield gradient


@pytest.fixture
def client_and_server(tmp_path: Path, client_image: str, base_image: str) -> Iterator[Gradient]:
    """The same with the model server itself in place of TensorFlow Serving, which builds for minutes."""
    with answering(tmp_path, client_image, base_image) as gradient:
        yield gradient


@contextlib.contextmanager
def answering(root: Path, client_image: str, base_image: str, **folders: str) -> Iterator[Gradient]:
    """A project whose scripts are answered by `wf`."""
    gradient = Gradient(root, client_image)
    gradient.use_images(
        {
            "haproxy:*": "./containers/proxy",
            "paperspace/gradient-sdk*": client_image,
            "tensorflow/tensorflow:*": base_image,
            "tensorflow/serving*": "./containers/serve",
        },
        **folders,
    )
    lab = Lab(root, base_image)
    emulator = Emulator(root, lab.deployments)
    gradient.handlers = (emulator,)
    yield gradient
    emulator.close()
    lab.clean()

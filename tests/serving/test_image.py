"""The image of containers/serve, used as `tensorflow/serving` is used."""

import json
import os
import time
import urllib.request
from pathlib import Path

import pytest

from tests.projects import REPOSITORY
from wf.backends.engine import find_engine
from wf.backends.images import Images, Wanted
from wf.host import read_host_network
from wf.plan import ProjectImage
from wf.settings import load_settings

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def image() -> str:
    """The image's id, built if need be."""
    settings = load_settings(REPOSITORY)
    host = read_host_network(os.environ, settings.ca_bundle)
    images = Images(find_engine(), REPOSITORY, settings.docker, host, lambda _event: None)
    wanted = Wanted(ProjectImage("serve", REPOSITORY / "containers" / "serve"))
    try:
        return images.ensure([wanted])[wanted]
    finally:
        images.close()


def test_the_image_serves_a_model_like_tensorflow_serving(image: str, models: Path) -> None:
    """MODEL_NAME and a mounted folder are enough; it is not root, and SIGTERM ends it with 0."""
    client = find_engine().connect()
    container = client.create_container(
        image,
        environment={"MODEL_NAME": "half"},
        command=["--drain_seconds=5"],
        host_config=client.create_host_config(
            binds={str(models / "half"): {"bind": "/models/half", "mode": "ro"}},
            read_only=True,
            tmpfs={"/tmp": ""},
            cap_drop=["ALL"],
        ),
    )
    try:
        started = time.monotonic()
        client.start(container)
        address = client.inspect_container(container)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        while True:
            try:
                with urllib.request.urlopen(f"http://{address}:8501/readyz", timeout=5):
                    break
            except OSError:  # refused, cut or late
                assert time.monotonic() < started + 60, client.logs(container).decode()
                time.sleep(0.05)
        body = json.dumps({"instances": [1.0]}).encode()
        with urllib.request.urlopen(f"http://{address}:8501/v1/models/half:predict", body, timeout=5) as answer:
            assert json.load(answer) == {"predictions": [3.5]}
        assert client.inspect_image(image)["Config"]["User"] not in ("", "root", "0")
        client.stop(container, timeout=20)
        assert client.inspect_container(container)["State"]["ExitCode"] == 0
    finally:
        client.remove_container(container, force=True)

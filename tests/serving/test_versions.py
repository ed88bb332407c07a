"""Versions come, go and replace one another while requests are answered."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

import pytest

from tests.projects import REPOSITORY
from tests.serving.running import Client, free_ports, process, running, wait_until
from tests.serving.saved_models import half_plus, slow

PREDICT = "/v1/models/half:predict"
ASK = json.dumps({"instances": [2.0]})


def states(client: Client) -> dict[str, str]:
    """Version -> state."""
    return {each["version"]: each["state"] for each in client.get("/v1/models/half")[1]["model_version_status"]}


def publish(models: Path, folder: Path, version: int) -> None:
    """Put a copy of the shared version 1 or 2 there, whole at once."""
    shutil.copytree(models / "half" / str(version), folder / f".{version}")
    (folder / f".{version}").rename(folder / str(version))


class Load:
    """Requests one after the other on several connections, whose answers are counted."""

    def __init__(self, address: str, path: str, connections: int = 4) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.lost: list[str] = []
        self._address, self._path = address, path
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(connections)]

    def _ask(self) -> None:
        connection = HTTPConnection(self._address, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", self._path, ASK)
                answer = connection.getresponse()
                self.answers[answer.status, answer.read().decode()] += 1
            except OSError as error:
                self.lost.append(repr(error))
                return

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_new_version_takes_over_without_a_lost_request(models: Path, tmp_path: Path) -> None:
    """Under load, there and back again: every request is answered by the one or the other."""
    publish(models, tmp_path, 1)
    with running("--model_name=half", f"--model_base_path={tmp_path}") as client:
        with Load(client.address, PREDICT) as load:
            wait_until(lambda: load.answers[200, '{"predictions":[3.0]}'] > 20)
            publish(models, tmp_path, 2)
            wait_until(lambda: load.answers[200, '{"predictions":[4.0]}'] > 20)
            wait_until(lambda: states(client) == {"2": "AVAILABLE", "1": "END"})
            shutil.rmtree(tmp_path / "2")
            wait_until(lambda: states(client) == {"2": "END", "1": "AVAILABLE"})
        assert load.lost == []
        assert set(load.answers) == {(200, '{"predictions":[3.0]}'), (200, '{"predictions":[4.0]}')}


def test_a_broken_version_leaves_the_old_one_serving(models: Path, tmp_path: Path) -> None:
    """It is told in the status, and served once it is whole."""
    publish(models, tmp_path, 1)
    with running("--model_name=half", f"--model_base_path={tmp_path}") as client:
        (tmp_path / "2").mkdir()
        (tmp_path / "2" / "saved_model.pb").write_bytes(b"this is no model")
        wait_until(lambda: states(client).get("2") == "END")
        assert client.post(PREDICT, json.loads(ASK)) == (200, {"predictions": [3.0]})
        told = client.get("/v1/models/half/versions/2")[1]["model_version_status"][0]["status"]
        assert told["error_code"] == "DATA_LOSS"
        assert client.post("/v1/models/half/versions/2:predict", json.loads(ASK))[0] == 404

        shutil.rmtree(tmp_path / "2")
        publish(models, tmp_path, 2)
        wait_until(lambda: states(client) == {"2": "AVAILABLE", "1": "END"})


def test_a_folder_that_goes_away_is_no_reason_to_stop(models: Path, tmp_path: Path) -> None:
    """What is loaded is served."""
    publish(models, tmp_path, 1)
    with running("--model_name=half", f"--model_base_path={tmp_path}") as client:
        shutil.rmtree(tmp_path / "1")
        time.sleep(0.5)
        assert client.post(PREDICT, json.loads(ASK)) == (200, {"predictions": [3.0]})


def test_a_configuration_has_several_models_versions_and_labels(models: Path, tmp_path: Path) -> None:
    """And is read again when it changes."""
    text = f"""
        model_config_list {{
          config {{
            name: "half" base_path: "{models / "half"}" model_platform: "tensorflow"
            model_version_policy {{ all {{}} }}
            version_labels {{ key: "stable" value: 1 }}
          }}
          config {{ name: "echo" base_path: "{models / "echo"}" }}
        }}"""
    file = tmp_path / "models.config"
    file.write_text(text)
    with running(f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=0.2") as client:
        wait_until(lambda: states(client) == {"1": "AVAILABLE", "2": "AVAILABLE"})
        assert client.post("/v1/models/half/labels/stable:predict", json.loads(ASK))[1] == {"predictions": [3.0]}
        assert client.post(PREDICT, json.loads(ASK))[1] == {"predictions": [4.0]}
        assert client.get("/v1/models/echo")[0] == 200

        file.write_text(text.replace("all {}", "specific { versions: 1 }").replace('name: "echo"', 'name: "mirror"'))
        wait_until(lambda: states(client) == {"1": "AVAILABLE", "2": "END"})
        wait_until(lambda: client.get("/v1/models/mirror")[0] == 200)
        assert client.get("/v1/models/echo")[0] == 404


def test_nobody_is_answered_before_what_is_there_is_loaded(tmp_path: Path) -> None:
    """A probe that finds the port open finds the model, too: TensorFlow Serving's status is 200 also while it loads."""
    half_plus(tmp_path / "1", 2.0)

    with running("--model_name=half", f"--model_base_path={tmp_path}", ready=False) as client:
        assert states(client) == {"1": "AVAILABLE"}


def test_before_a_model_is_there_the_server_is_not_ready(tmp_path: Path) -> None:
    """It lives, waits and says so."""
    with running("--model_name=half", f"--model_base_path={tmp_path}", ready=False) as client:
        assert client.send("GET", "/readyz")[0] == 503
        assert client.send("GET", "/healthz")[0] == 200
        half_plus(tmp_path / "1", 2.0)
        wait_until(lambda: client.send("GET", "/readyz")[0] == 200)


def test_a_model_that_cannot_be_loaded_ends_a_server_that_starts(tmp_path: Path) -> None:
    """As TensorFlow Serving does: a status of 200 that tells of an error would pass any probe."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"this is no model")
    command = [sys.executable, "-m", "serving", "--port=0", "--model_name=half", f"--model_base_path={tmp_path}"]
    command += ["--max_num_load_retries=2"]

    with free_ports() as (port, _):
        command += [f"--rest_api_port={port}"]
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode == 1
    assert " ERROR DATA_LOSS: version 1 of model half: " in ended.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes a third of a second."""
    folder = tmp_path_factory.mktemp("slow")
    slow(folder / "1")
    return folder


def test_too_many_requests_are_refused(slow_models: Path, tmp_path: Path) -> None:
    """With 429: what waits is bounded, and what was accepted is answered."""
    file = tmp_path / "batching"
    file.write_text("max_batch_size { value: 1 } max_enqueued_batches { value: 2 }  # a small queue")
    flags = ["--model_name=half", f"--model_base_path={slow_models}", f"--batching_parameters_file={file}"]
    with running(*flags) as client, Load(client.address, PREDICT, connections=8) as load:
        wait_until(lambda: len(load.answers) == 2 and min(load.answers.values()) > 2)
    refused = '{"error":"The batch scheduling queue to which this task was submitted is full"}'
    assert set(load.answers) == {(200, '{"predictions":[2.0]}'), (429, refused)}


def test_sigterm_lets_running_requests_finish(slow_models: Path) -> None:
    """The process ends with 0, after the last answer."""
    flags = ["--model_name=half", f"--model_base_path={slow_models}", "--engine=tf"]
    with process(*flags) as (client, server):
        connection = HTTPConnection(client.address, timeout=60)
        connection.putrequest("POST", PREDICT)
        connection.putheader("Content-Length", str(len(ASK)))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        begun = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.sock.recv(len(begun), socket.MSG_WAITALL) == begun
        connection.send(ASK.encode())
        server.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)) == (200, {"predictions": [2.0]})
        assert server.wait(60) == 0

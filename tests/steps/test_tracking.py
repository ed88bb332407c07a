"""Tests of `steps.tracking` with the true Comet client: archives are read back, and a stub plays the server."""

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from steps.tracking import start_tracker
from tests.projects import REPOSITORY

KEY = "a-key-that-nobody-may-see"
SCRIPT = """
import sys
from pathlib import Path
from steps.tracking import start_tracker

with start_tracker("auto", Path(sys.argv[1]), name="train", tags=["ranking"]) as tracker:
    tracker.log_params({"epochs": 2})
    tracker.log_metrics({"val_rmse": 1.25}, epoch=1)
"""


@dataclass
class Stub:
    """A server with the few routes that one Comet experiment needs."""

    accepts_key: bool = True
    accepts_experiments: bool = True
    bodies: dict[str, list[Any]] = field(default_factory=dict)
    """Path -> what was sent there."""
    url: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of the reply."""
        if path == "/api/rest/v2/account-details":
            return (200, {}) if self.accepts_key else (401, {})
        if path == "/clientlib/logger/add/run" and not self.accepts_experiments:
            return 400, {"sdk_error_code": 90212, "msg": f"the key {KEY} is not known"}
        replies: dict[str, dict[str, Any]] = {
            "/clientlib/isAlive/ver": {"version": "4.10.0"},
            "/clientlib/health/ping": {},
            "/clientlib/logger/add/run": {"runId": "run", "project_id": "project", "focusUrl": "http://comet.test/"},
            "/clientlib/status-report/update": {
                "is_alive_beat_duration_millis": 10_000,
                "gpu_monitor_interval_millis": 60_000,
            },
            "/clientlib/batch/logger/experiment/metric": {},
            "/clientlib/batch/logger/experiment/parameter": {},
        }
        return (200, replies[path]) if path in replies else (404, {})

    def values(self, route: str) -> dict[str, Any]:
        """The batch values that arrived, by name."""
        found = [
            value for body in self.bodies[f"/clientlib/batch/logger/experiment/{route}"] for value in body["values"]
        ]
        return {value[f"{route}Name"]: value[f"{route}Value"] for value in found}


@pytest.fixture(name="stub")
def _stub() -> Iterator[Stub]:
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if body.startswith(b"{"):
                stub.bodies.setdefault(path, []).append(json.loads(body))
            status, reply = stub.answer(path)
            content = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST  # noqa: N815  (the names are http.server's)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stub.url = f"http://127.0.0.1:{server.server_port}/clientlib/"
        yield stub
        server.shutdown()


def online(folder: Path, stub: Stub) -> subprocess.CompletedProcess[str]:
    """Track a small experiment in a process of its own, since the client reads its configuration once."""
    environment = {**os.environ, "COMET_API_KEY": KEY, "COMET_URL_OVERRIDE": stub.url, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=REPOSITORY, check=True, timeout=60
    )


def archive(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The experiment and the messages of the one archive in `folder`."""
    (path,) = folder.glob("*.zip")
    with zipfile.ZipFile(path) as opened:
        messages = opened.read("messages.json").decode().splitlines()
        return json.loads(opened.read("experiment.json")), [json.loads(line) for line in messages]


def payloads(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """What was recorded by one type of message."""
    return [message["payload"] for message in messages if message["type"] == kind]


def metric_names(folder: Path) -> set[str]:
    """The metrics in the one archive; besides ours, Comet adds how long the process ran."""
    return {payload["metric"]["metricName"] for payload in payloads(archive(folder)[1], "metric_msg")}


def others(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The recorded facts."""
    return {payload["key"]: payload["value"] for payload in payloads(messages, "log_other")}


def test_an_offline_archive_holds_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parameters, metrics by epoch, facts, files and the end, in one zip that Comet can upload later."""
    (tmp_path / "history.json").write_text("[]")
    tracking = tmp_path / "tracking"
    tracking.mkdir()
    with start_tracker("auto", tracking, name="train", tags=["ranking"]) as tracker:
        tracker.log_params({"epochs": 2, "layers": (256, 64)})
        tracker.log_metrics({"loss": 0.5, "val_rmse": float("nan")}, epoch=1)
        tracker.log_metrics({"loss": 0.25}, epoch=2)
        tracker.log_other("dataset", "ml-100k")
        tracker.log_asset(tmp_path / "history.json")

    experiment, messages = archive(tracking)
    parameters = {p["param"]["paramName"]: p["param"]["paramValue"] for p in payloads(messages, "parameter_msg")}
    metrics = [p["metric"] for p in payloads(messages, "metric_msg")]

    assert (experiment["project_name"], experiment["tags"]) == ("movie-recommendation", ["ranking"])
    assert (parameters["epochs"], parameters["layers"]) == (2, "[256, 64]")
    assert [(m["metricName"], m["metricValue"], m["epoch"]) for m in metrics] == [("loss", 0.5, 1), ("loss", 0.25, 2)]
    assert {"Name": "train", "dataset": "ml-100k", "status": "completed"}.items() <= others(messages).items()
    assert [p["additional_params"]["fileName"] for p in payloads(messages, "file_upload")] == ["history.json"]
    assert capsys.readouterr().out == "tracking: offline archive\n"


@pytest.mark.parametrize(("problem", "status"), [(ValueError("x"), "failed"), (SystemExit(143), "interrupted")])
def test_the_archive_says_how_the_work_ended(problem: BaseException, status: str, tmp_path: Path) -> None:
    """An exception passes through and leaves a whole archive."""
    with pytest.raises(type(problem)), start_tracker("offline", tmp_path, name="train"):
        raise problem

    assert others(archive(tmp_path)[1])["status"] == status


def test_off_writes_nothing(tmp_path: Path) -> None:
    """No archive, no error."""
    with start_tracker("off", tmp_path, name="train") as tracker:
        tracker.log_metrics({"loss": 1.0}, epoch=1)

    assert list(tmp_path.iterdir()) == []


def test_a_failing_tracker_does_not_stop_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first failure is told once, without the key, and the following calls pass."""
    with start_tracker("offline", tmp_path, name="train") as tracker:
        import comet_ml

        def fail(*_arguments: object, **_options: object) -> None:
            raise RuntimeError(f"no disk for {KEY}")

        monkeypatch.setattr(comet_ml.OfflineExperiment, "log_metrics", fail)
        monkeypatch.setenv("COMET_API_KEY", KEY)
        tracker.log_metrics({"loss": 1.0}, epoch=1)
        tracker.log_metrics({"loss": 0.5}, epoch=2)

    assert capsys.readouterr().out.count("warning: tracking is incomplete: no disk for ***") == 1


def test_a_folder_that_cannot_be_written_does_not_stop_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no archive can be begun, the work goes on untracked and says why."""
    (tmp_path / "file").write_text("")

    with start_tracker("offline", tmp_path / "file" / "tracking", name="train") as tracker:
        tracker.log_metrics({"loss": 1.0})

    assert "warning: this run is not tracked" in capsys.readouterr().out


def test_with_a_key_the_experiment_reaches_comet_and_the_archive(stub: Stub, tmp_path: Path) -> None:
    """Online, parameters and metrics arrive at the server, and the same archive lies in the folder."""
    finished = online(tmp_path, stub)

    assert stub.values("parameter")["epochs"] == 2
    assert stub.values("metric")["val_rmse"] == 1.25
    assert metric_names(tmp_path) >= {"val_rmse"}
    assert finished.stdout.startswith("tracking: http")
    assert KEY not in finished.stdout + finished.stderr


def test_an_experiment_that_comet_refuses_is_kept_offline(stub: Stub, tmp_path: Path) -> None:
    """When the server takes the key but not the experiment, the archive is written and the key stays secret."""
    stub.accepts_experiments = False

    finished = online(tmp_path, stub)

    assert "warning: Comet did not accept the experiment: tracking offline" in finished.stdout
    assert metric_names(tmp_path) >= {"val_rmse"}
    assert KEY not in finished.stdout + finished.stderr


def test_a_refused_key_is_told_without_being_shown(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong key means a warning and an offline archive."""
    stub.accepts_key = False
    monkeypatch.setenv("COMET_API_KEY", KEY)
    monkeypatch.setenv("COMET_URL_OVERRIDE", stub.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    start_tracker("auto", tmp_path, name="train").end("completed")

    printed = capsys.readouterr()
    assert "refuses COMET_API_KEY: tracking offline" in printed.out
    assert KEY not in printed.out + printed.err
    assert len(list(tmp_path.glob("*.zip"))) == 1


def test_a_silent_server_costs_a_few_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that takes connections and never answers is given up soon."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("COMET_API_KEY", KEY)
        monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://127.0.0.1:{silent.getsockname()[1]}/clientlib/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        started = time.monotonic()
        start_tracker("auto", tmp_path, name="train").end("completed")

    assert time.monotonic() - started < 10
    assert "does not answer (ReadTimeout): tracking offline" in capsys.readouterr().out

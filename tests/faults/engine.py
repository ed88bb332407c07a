"""An engine of our own, which may be killed: with its own data, socket and network."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

_AMONG_THEMSELVES = ("FORWARD", "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")


class PrivateEngine:
    """A `dockerd` in a folder, with some images. Two at once need two bridges, each with a subnet."""

    def __init__(self, folder: Path, *images: str, bridge: str = "wffaults0", subnet: str = "10.213.77.1/24") -> None:
        self._bridge = bridge
        self.address = f"unix://{folder}/docker.sock"
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ip", "link", "add", self._bridge, "type", "bridge"], check=False, capture_output=True)
        subprocess.run(["ip", "addr", "add", subnet, "dev", self._bridge], check=False, capture_output=True)
        subprocess.run(["ip", "link", "set", self._bridge, "up"], check=True)
        # Another engine's rules may keep the containers of one network from talking to each other.
        subprocess.run(["iptables", "-I", *_AMONG_THEMSELVES], check=True)
        self._containers = self._start_containerd()
        self._process = self._start()
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            subprocess.run(["docker", "-H", self.address, "load"], stdin=save.stdout, check=True, capture_output=True)

    def _start_containerd(self) -> "subprocess.Popen[bytes]":
        """The part that holds the containers: one that `dockerd` starts for itself dies with it, and is in its way."""
        folder = self._folder
        settings = folder / "containerd.toml"
        settings.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        with (folder / "containerd.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    "containerd", "--config", str(settings), "--root", str(folder / "containerd"),
                    "--state", str(folder / "state"), "--address", str(folder / "containerd.sock"),
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        while not (folder / "containerd.sock").exists():
            time.sleep(0.1)
        return process

    def _start(self, *options: str) -> "subprocess.Popen[bytes]":
        folder = self._folder
        (folder / "docker.pid").unlink(missing_ok=True)
        with (folder / "dockerd.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    "dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
                    "--containerd", str(folder / "containerd.sock"), "--pidfile",
                    str(folder / "docker.pid"), "-H", self.address, "--bridge", self._bridge,
                    "--iptables=false", "--ip6tables=false", *options,
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if subprocess.run(["docker", "-H", self.address, "info"], check=False, capture_output=True).returncode == 0:
                return process
            time.sleep(0.2)
        raise RuntimeError(f"{folder}/dockerd.log says why the engine does not start")

    def kill(self) -> None:
        """SIGKILL, then a new one in its place."""
        self.end()
        self.begin()

    def end(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def begin(self, *options: str) -> None:
        """A new one in its place."""
        self._process = self._start(*options)

    def close(self) -> None:
        """End it, and remove its network."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._containers.terminate()
        self._containers.wait(60)
        for folder in Path("/proc").glob("[0-9]*"):  # what is between containerd and a container may outlive both
            with contextlib.suppress(OSError):
                if os.fsencode(f"{self._folder}/containerd.sock") in (folder / "cmdline").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
        subprocess.run(["umount", str(self._folder / "data")], check=False, capture_output=True)
        subprocess.run(["iptables", "-D", *_AMONG_THEMSELVES], check=False)
        subprocess.run(["ip", "link", "del", self._bridge], check=False, capture_output=True)

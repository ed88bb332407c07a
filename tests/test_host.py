"""What this machine's network settings come to."""

from pathlib import Path

import pytest

from wf import host
from wf.host import HostNetwork, read_host_network


@pytest.fixture(autouse=True)
def no_files_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files that a test names count."""
    monkeypatch.setattr(host, "_pip_files", lambda env: [Path(env["FILE"])] if "FILE" in env else [])


def test_a_machine_without_settings_passes_nothing_on() -> None:
    """An empty environment adds nothing to a job."""
    assert read_host_network({}) == HostNetwork()
    assert read_host_network({}).variables("/ca") == {}


def test_a_ca_bundle_is_found_under_any_of_its_names(tmp_path: Path) -> None:
    """The first variable that names a file counts, and every program gets it under its own name."""
    (tmp_path / "ca.pem").touch()
    found = read_host_network({"SSL_CERT_FILE": "/missing", "CURL_CA_BUNDLE": str(tmp_path / "ca.pem")})
    assert found.ca_bundle == tmp_path / "ca.pem"
    assert found.variables("/in/container") == dict.fromkeys(host.CA_VARIABLES, "/in/container")


def test_the_projects_ca_bundle_wins(tmp_path: Path) -> None:
    """What wf.toml names comes before the environment."""
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert read_host_network({"SSL_CERT_FILE": str(tmp_path / "a")}, tmp_path / "b").ca_bundle == tmp_path / "b"


def test_proxies_come_in_both_cases() -> None:
    """Programs that read only one case find it."""
    found = read_host_network({"HTTPS_PROXY": "http://p:1", "no_proxy": "localhost"})
    assert found.variables("/ca") == {
        "https_proxy": "http://p:1",
        "HTTPS_PROXY": "http://p:1",
        "no_proxy": "localhost",
        "NO_PROXY": "localhost",
    }


def test_mirrors_are_passed_on_if_a_container_can_reach_them(tmp_path: Path) -> None:
    """Addresses on the network stay, files of this machine go; variables win over pip's files."""
    (tmp_path / "ca.pem").touch()
    (tmp_path / "pip.conf").write_text(
        f"[global]\nindex-url = https://mirror/simple\ncert = {tmp_path}/ca.pem\n"
        "find-links = /opt/wheels\n[install]\ntrusted-host = mirror\n"
    )
    found = read_host_network(
        {"FILE": str(tmp_path / "pip.conf"), "PIP_EXTRA_INDEX_URL": "file:///opt/simple http://other/simple"}
    )
    assert found.pip == {
        "PIP_INDEX_URL": "https://mirror/simple",
        "PIP_EXTRA_INDEX_URL": "http://other/simple",
        "PIP_TRUSTED_HOST": "mirror",
    }
    assert found.ca_bundle == tmp_path / "ca.pem"


def test_a_broken_pip_file_is_left_to_pip(tmp_path: Path) -> None:
    """A file that cannot be read as settings says nothing."""
    (tmp_path / "pip.conf").write_text("not settings")
    assert read_host_network({"FILE": str(tmp_path / "pip.conf")}) == HostNetwork()

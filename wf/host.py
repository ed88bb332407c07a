"""What this machine's network asks of every program: a CA bundle of its own, proxies, package mirrors.

Builds and jobs inherit it; no image keeps it.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
)
"""Every common name under which a program looks for the path of a CA bundle; the first four say that there is one."""

PIP_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_FIND_LINKS")


class HostNetwork(Struct, frozen=True):
    """The settings themselves, ready to be handed on."""

    ca_bundle: Path | None = None
    """A file that exists, if the machine has one of its own."""
    proxies: Mapping[str, str] = {}
    """In lower and upper case: programs disagree about which they read."""
    pip: Mapping[str, str] = {}
    """`PIP_*` variables with the addresses that a container can reach too."""

    def past_proxies(self, host: str) -> "HostNetwork":
        """The same, with a host that no proxy stands before."""
        if not self.proxies:
            return self
        hosts = ",".join(filter(None, [self.proxies.get("no_proxy"), host]))
        return replace(self, proxies={**self.proxies, "no_proxy": hosts, "NO_PROXY": hosts})

    def variables(self, ca_path: str) -> dict[str, str]:
        """The environment that passes all this on to a program that finds the CA bundle at `ca_path`."""
        ca = dict.fromkeys(CA_VARIABLES, ca_path) if self.ca_bundle else {}
        return {**ca, **self.proxies, **self.pip}


def read_host_network(environ: Mapping[str, str], ca_bundle: Path | None = None) -> HostNetwork:
    """Read the environment and pip's own files; `ca_bundle` is one that the project names, and wins."""
    pip = _pip_settings(environ)
    named = [ca_bundle, *(environ.get(name) for name in CA_VARIABLES[:4]), pip.get("cert")]
    bundles = (Path(path) for path in named if path)
    return HostNetwork(
        ca_bundle=next((path.absolute() for path in bundles if path.is_file()), None),
        proxies=_proxies(environ),
        pip={name: value for name in PIP_VARIABLES if (value := _reachable(name, pip))},
    )


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        if value := environ.get(name) or environ.get(name.upper()):
            found |= {name: value, name.upper(): value}
    return found


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Pip's settings under the names of its configuration files, its variables winning over the files."""
    settings: dict[str, str] = {}
    for path in filter(Path.is_file, _pip_files(environ)):
        import configparser

        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will complain about this file better than we could
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return settings


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    """Pip's configuration files, the weakest first, as `pip config debug` lists them."""
    home = Path(environ.get("HOME", "/"))
    files = [
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    return [*files, Path(named)] if named else files


def _reachable(variable: str, settings: Mapping[str, str]) -> str:
    """The part of a setting that means the same in a container: addresses on the network, no files of this machine."""
    values = settings.get(variable.removeprefix("PIP_").lower().replace("_", "-"), "").split()
    if variable != "PIP_TRUSTED_HOST":
        values = [value for value in values if urlsplit(value).scheme in {"http", "https"}]
    return " ".join(values)

"""Accounts at private image registries, which a project keeps like its secrets."""

import json
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from wf.vault import Vault

DOCKER_HUB = "docker.io"
_HUB_HOSTS = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")


class Login(Struct, frozen=True):
    """An account at a registry, under the name that workflows use for it."""

    name: str
    server: str
    """Host, and port if it is not the usual one."""
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.name!r} at {self.server})"


class Registries:
    """The accounts of one project."""

    def __init__(self, store_folder: Path) -> None:
        self._vault = Vault(store_folder, "registries")

    def keep(self, login: Login) -> str:
        """Keep an account in place of any other of that name; returns where it lies now."""
        values = {key: value for key, value in asdict(login).items() if key != "name"}
        return self._vault.keep(login.name, json.dumps({**values, "server": host_of(login.server)}))

    def forget(self, name: str) -> bool:
        """Remove an account; says whether there was one."""
        return self._vault.forget(name)

    def logins(self) -> list[Login]:
        """All accounts, by name."""
        values = {name: self._vault.get(name) or "{}" for name in self._vault.names()}
        return [Login(name, **json.loads(value)) for name, value in values.items()]

    def for_image(self, ref: str, preferred: Sequence[str] = ()) -> list[Login]:
        """The accounts at the registry of an image, those with preferred names first and in their order."""
        first, slash, _ = ref.partition("/")
        is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
        server = host_of(first) if is_host else DOCKER_HUB
        order = {name: number for number, name in enumerate(preferred)}
        logins = (login for login in self.logins() if login.server == server)
        return sorted(logins, key=lambda login: order.get(login.name, len(order)))


def host_of(server: str) -> str:
    """The host, and port, that an address of a registry names; all those of Docker Hub are one."""
    host = server.partition("://")[2] or server
    host = host.partition("/")[0].lower()
    return DOCKER_HUB if host in _HUB_HOSTS else host

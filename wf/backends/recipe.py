"""A folder under `containers/`: what its Dockerfile asks for, and everything that goes into a build."""

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from msgspec import Struct

from wf.errors import EnvironmentProblem
from wf.plan import ProjectImage

CA_NAME = "ca-certificates.crt"


class Recipe(Struct, frozen=True):
    """A folder with a Dockerfile, read."""

    image: ProjectImage
    dockerfile: str
    files: Mapping[str, Path]
    """Name in the build context -> file or link: everything in the folder, and in folders that it links to."""

    @classmethod
    def read(cls, image: ProjectImage) -> "Recipe":
        """Read the folder of an image."""
        try:
            dockerfile = (image.folder / "Dockerfile").read_text(encoding="utf-8")
        except OSError as error:
            raise EnvironmentProblem(
                f"image `{image.name}` cannot be built: {image.folder / 'Dockerfile'}: {error.strerror}"
            ) from error
        return cls(image, dockerfile, dict(sorted(_files(image.folder).items())))

    @property
    def arguments(self) -> set[str]:
        """The names of the build arguments that it declares."""
        return {declared.partition("=")[0] for declared in self._declared()}

    @property
    def builds_on(self) -> dict[str, str]:
        """Argument -> name of the folder under `containers/` whose image fills it."""
        found = (re.fullmatch(r"(\w+)=containers/([\w.-]+)", declared) for declared in self._declared())
        return {match[1]: match[2] for match in found if match}

    def _declared(self) -> list[str]:
        instructions = re.findall(r"^\s*ARG\s+(.+)$", self.dockerfile, re.MULTILINE | re.IGNORECASE)
        return [word for instruction in instructions for word in instruction.split()]

    def digest(self, arguments: Mapping[str, str]) -> str:
        """12 hex digits that change whenever the image would."""
        digest = hashlib.sha256(json.dumps(sorted(arguments.items())).encode())
        for name, path in self.files.items():
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            entry = (name, self._mode_of(path), path.is_symlink(), hashlib.sha256(content).hexdigest())
            digest.update(json.dumps(entry).encode())
        return digest.hexdigest()[:12]

    def pack(self, into: IO[bytes], ca_bundle: Path | None) -> None:
        """Write the build context as a tar file, the same for the same content, and rewind it."""
        import tarfile

        with tarfile.open(fileobj=into, mode="w") as tar:
            for name, path in self.files.items():
                entry = tar.gettarinfo(path, name)
                entry.uid = entry.gid = entry.mtime = 0
                entry.mode = self._mode_of(path)
                if entry.isreg():
                    with path.open("rb") as content:
                        tar.addfile(entry, content)
                else:
                    tar.addfile(entry)
            if ca_bundle and CA_NAME in self.dockerfile:
                bundle = ca_bundle.read_bytes()
                entry = tarfile.TarInfo(CA_NAME)
                entry.size = len(bundle)
                tar.addfile(entry, io.BytesIO(bundle))
        into.seek(0)

    @staticmethod
    def _mode_of(path: Path) -> int:
        # Only this much of a mode survives a git checkout on every machine.
        return 0o755 if path.lstat().st_mode & 0o100 else 0o644


def _files(folder: Path) -> dict[str, Path]:
    """Every file and link in a folder by its name there. Links to folders outside are followed: no builder could."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if "__pycache__" in path.parts:
            continue
        if path.is_symlink() and path.is_dir() and not path.resolve().is_relative_to(folder.resolve()):
            found |= {f"{name}/{inner}": file for inner, file in _files(path.resolve()).items()}
        elif path.is_symlink() or path.is_file():
            found[name] = path
    return found

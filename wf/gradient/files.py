"""Files of dataset versions: as much of S3 as the client speaks, at addresses that it asks for one by one.

The client asks for an address for each call that it wants to make, such as `putObject`, and then makes it. The address
leads back here: its query holds the parameters of the call.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import uuid4
from xml.sax.saxutils import escape

from wf.control.http import Request, Response, error_response
from wf.gradient.routes import Routes, fields_of
from wf.store.layout import remove_tree

FindFolder = Callable[[str, str], tuple[Path, bool] | None]
"""From a dataset and a version to the folder with its files, and whether they may change."""

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_METHODS: Final = {
    "headObject": "HEAD",
    "getObject": "GET",
    "listObjectsV2": "GET",
    "putObject": "PUT",
    "uploadPart": "PUT",
    "deleteObject": "DELETE",
}
_LONGEST_PAGE: Final = 1000
_PARTS: Final = ".wf-upload-"
"""What the folder of an upload in parts is called, beside the files: no key may begin so."""


def add_files(routes: Routes, find_folder: FindFolder) -> None:
    """Answer what is asked about files."""
    api = _Api(find_folder)
    routes.add("POST", "/datasets/{dataset...}/versions/{version}/s3/preSignedUrls", api.sign)
    routes.add("HEAD GET PUT DELETE", "/wf-files/{dataset...}/{version}/{call}", api.call)


class _Api:
    def __init__(self, find_folder: FindFolder) -> None:
        self._find_folder = find_folder

    def sign(self, request: Request, dataset: str, version: str) -> object | Response:
        """Addresses for calls. Those that begin and end an upload in parts are made at once."""
        found = self._find_folder(dataset, version)
        if found is None:
            return error_response(404, f"there is no version {version} of dataset {dataset}")
        folder, changes = found
        answers = []
        for each in fields_of(request).get("calls", ()):
            call, given = str(each.get("method", "")), each.get("params") or {}
            if call in {"createMultipartUpload", "completeMultipartUpload", "uploadPart", "putObject", "deleteObject"}:
                if not changes:
                    return error_response(400, f"version {version} of {dataset} is committed: it never changes")
                if _place(folder, given) is None:
                    return error_response(400, f"`{given.get('Key')}` cannot name a file")
            if call == "createMultipartUpload":
                answers.append({"url": {"UploadId": _begin(folder)}, "expiresIn": 3600})
            elif call == "completeMultipartUpload":
                _complete(folder, given)
                answers.append({"url": "", "expiresIn": 3600})
            elif call in _METHODS:
                where = f"{request.base}/wf-files/{quote(dataset, safe='')}/{quote(version)}/{call}"
                query = urlencode({name: str(value) for name, value in given.items()})
                answers.append({"url": f"{where}?{query}", "expiresIn": 3600})
            else:
                return error_response(400, f"wf does not know the call `{call}`")
        return answers

    def call(self, request: Request, dataset: str, version: str, call: str) -> Response:
        """One call at such an address."""
        found = self._find_folder(dataset, version)
        if found is None or request.method != _METHODS.get(call):
            return error_response(404, "there is nothing at this address")
        folder, changes = found
        if call == "listObjectsV2":
            return _list(folder, request.query)
        place = _place(folder, request.query)
        if place is None or (request.method in {"PUT", "DELETE"} and not changes):
            return error_response(403, "this file can be neither written nor removed")
        match call:
            case "uploadPart":
                part = _upload(folder, request.query) / f"{int(request.query['PartNumber']):05}"
                part.write_bytes(request.body)
            case "putObject":
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(request.body)
            case "deleteObject":
                place.unlink(missing_ok=True)
                return Response(204, b"")
            case _ if place.is_symlink() or not place.is_file():
                return error_response(404, "there is no such file")
            case "headObject":
                return Response(200, b"", headers={"Content-Length": str(place.stat().st_size)})
            case _:
                return Response(200, place.read_bytes(), "application/octet-stream")
        return Response(200, b"", headers={"ETag": f'"{hashlib.md5(request.body, usedforsecurity=False).hexdigest()}"'})


def _place(folder: Path, given: Mapping[str, Any]) -> Path | None:
    """Where the file of a key lies; nothing if that would be outside of the folder, or is no file's name."""
    key = PurePosixPath(str(given.get("Key", "")).lstrip("/"))
    if not key.parts or ".." in key.parts or "\0" in str(key) or key.parts[0].startswith(_PARTS):
        return None
    place = folder.joinpath(*key.parts)
    return place if place.parent.resolve().is_relative_to(folder.resolve()) else None


def _begin(folder: Path) -> str:
    ident = uuid4().hex
    (folder / f"{_PARTS}{ident}").mkdir()
    return ident


def _upload(folder: Path, given: Mapping[str, Any]) -> Path:
    return folder / f"{_PARTS}{PurePosixPath(str(given.get('UploadId', ''))).name}"


def _complete(folder: Path, given: Mapping[str, Any]) -> None:
    place, parts = _place(folder, given), _upload(folder, given)
    assert place is not None, "the key was looked at before"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        for part in sorted(parts.iterdir()):
            file.write(part.read_bytes())
    remove_tree(parts)


def _list(folder: Path, given: Mapping[str, str]) -> Response:
    """The keys that begin with a prefix, in pages; folders below it are summed up unless the delimiter is empty."""
    prefix = given.get("Prefix", "").lstrip("/")
    start = given.get("ContinuationToken", "")
    size = min(int(given.get("MaxKeys", _LONGEST_PAGE)), _LONGEST_PAGE)
    delimiter = given.get("Delimiter", "/")
    entries = [entry for entry in _entries(folder, prefix, delimiter) if entry[0] > start]
    page, rest = entries[:size], entries[size:]
    # The client wants a prefix that is not empty, and cuts it off.
    parts = [f"<Prefix>/{escape(prefix)}</Prefix><IsTruncated>{json.dumps(bool(rest))}</IsTruncated>"]
    for key, length in page:
        name = "/" + escape(key)
        parts.append(
            f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
            if length is None
            else f"<Contents><Key>{name}</Key><Size>{length}</Size></Contents>"
        )
    if rest:
        parts.append(f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>")
    text = f'<?xml version="1.0"?><ListBucketResult xmlns="{_NAMESPACE}">{"".join(parts)}</ListBucketResult>'
    return Response(200, text.encode(), "application/xml")


def _entries(folder: Path, prefix: str, delimiter: str) -> list[tuple[str, int | None]]:
    """Keys with their sizes, and folders without one, sorted."""
    found: dict[str, int | None] = {}
    for key, size in _keys(folder):
        if not key.startswith(prefix):
            continue
        below = key[len(prefix) :]
        if delimiter and delimiter in below:
            found[prefix + below.partition(delimiter)[0] + delimiter] = None
        else:
            found[key] = size
    return sorted(found.items())


def _keys(folder: Path) -> Iterator[tuple[str, int]]:
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(_PARTS)]
        for name in files:
            path = Path(top, name)
            if not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path.stat().st_size

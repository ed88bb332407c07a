"""A registry on this machine that serves one tiny image: engines trust 127.0.0.1 without encryption."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry:
    """Serves the image `name` under these tags while the context lasts, to one account only if it is given."""

    def __init__(self, name: str, tags: Collection[str], account: str = "") -> None:
        blobs: dict[str, bytes] = {}

        def keep(content: bytes) -> str:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            blobs[digest] = content
            return digest

        layer = _one_file("hello", b"a file of its own")
        packed = gzip.compress(layer)
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "size": len(config), "digest": keep(config)},
                "layers": [{"mediaType": LAYER, "size": len(packed), "digest": keep(packed)}],
            }
        ).encode()
        manifests = {*tags, keep(manifest)}
        wanted = f"Basic {base64.b64encode(account.encode()).decode()}" if account else None

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/v2/")
                folder, _, last = path.rpartition("/")
                if wanted and self.headers["Authorization"] != wanted:
                    denied = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
                    self.answer(json.dumps(denied).encode(), "application/json", status=401)
                elif path == "":
                    self.answer(b"{}")
                elif folder == f"{name}/manifests" and last in manifests:
                    self.answer(manifest, MANIFEST)
                elif folder == f"{name}/blobs" and last in blobs:
                    self.answer(blobs[last])
                else:
                    unknown = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                    self.answer(json.dumps(unknown).encode(), "application/json", status=404)

            do_HEAD = do_GET  # noqa: N815 - the name is http.server's

            def answer(self, content: bytes, kind: str = "application/octet-stream", status: int = 200) -> None:
                self.send_response(status)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="registry"')
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(content).hexdigest()}")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _one_file(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()

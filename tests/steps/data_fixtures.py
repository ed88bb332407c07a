"""What the tests of the data steps share: running a step, tiny data in MovieLens's layouts, a web server."""

import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl

Main = Callable[[Sequence[str]], int]

RATINGS_CSV = "userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,0.5,200\n2,10,5.0,300\n"
MOVIES_CSV = 'movieId,title,genres\n10,Toy Story (1995),Animation|Comedy\n20,"Postman, The (1994)",(no genres listed)\n'
SMALL = {"ml-latest-small/ratings.csv": RATINGS_CSV, "ml-latest-small/movies.csv": MOVIES_CSV}

ROWS = [
    {"user_id": "1", "item_id": "10", "rating": 4.0, "timestamp": 100, "unparsed": None},
    {"user_id": "1", "item_id": "20", "rating": 0.5, "timestamp": 200, "unparsed": None},
    {"user_id": "2", "item_id": "10", "rating": 5.0, "timestamp": 300, "unparsed": None},
]
ITEMS = [
    {"item_id": "10", "title": "Toy Story (1995)", "year": 1995, "genres": ["Animation", "Comedy"]},
    {"item_id": "20", "title": "Postman, The (1994)", "year": 1994, "genres": []},
]


def write(path: Path, text: str) -> str:
    """Write a file; returns its path as a parameter has it."""
    path.write_text(text)
    return str(path)


def run(main: Main, folder: Path, *flags: str) -> int:
    """Run a step that reads and writes under `folder`, where its inputs and outputs are the same folders."""
    folders = ["--inputs-dir", str(folder), "--outputs-dir", str(folder / "out"), "--cache-dir", str(folder / "cache")]
    return main([*folders, *flags])


def hand_on(folder: Path, name: str = "ratings") -> None:
    """Make the output of one step the input of the next."""
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "out" / name).replace(folder / name)


def table(folder: Path, name: str = "ratings") -> list[dict[str, Any]]:
    """The rows of a table that a step wrote under `ratings`."""
    return pl.read_parquet(folder / "out" / "ratings" / f"{name}.parquet").to_dicts()


def document(folder: Path, name: str) -> dict[str, Any]:
    """A JSON document that a step wrote."""
    content: dict[str, Any] = json.loads((folder / "out" / name).read_text())
    return content


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A zip archive with these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def published(folder: Path, files: Mapping[str, str | bytes] = SMALL, *, md5: str | None = None) -> Path:
    """An archive as the data site publishes it, with its digest beside it."""
    archive = zipped(folder / "ml-latest-small.zip", files)
    digest = md5 or hashlib.md5(archive.read_bytes()).hexdigest()
    Path(f"{archive}.md5").write_text(f"MD5 (ml-latest-small.zip) = {digest}\n")
    return archive


class _Handler(SimpleHTTPRequestHandler):
    """Serves files; of archives only the first half where a file named `half` lies beside them."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        half = Path(self.directory, "half").exists() and self.path.endswith(".zip")
        outputfile.write(content[: len(content) // 2] if half else content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A web server for the files in a folder; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()

"""`wf.store.datasets`: names, versions, tags and aliases, and files on their way in and out."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Project, job, tree
from wf.errors import EnvironmentProblem, InvalidWorkflow, WfError
from wf.store import Store
from wf.store.database import connect
from wf.store.removal import removing
from wf.store.transfer import copy_out

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    return Project(root)


@pytest.fixture(name="store")
def _store(project: Project) -> Store:
    return project.store


def _folder(at: Path, **files: str) -> Path:
    at.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (at / name).write_text(text)
    return at


def _refusal(call: Callable[..., object], *words: object) -> tuple[str, str]:
    with pytest.raises(WfError) as caught:
        call(*words)
    error = caught.value
    hints = [each.hint for each in error.problems] if isinstance(error, InvalidWorkflow) else [error.hint]
    return str(error), "; ".join(hints)


# Names


def test_created_dataset(store: Store) -> None:
    """It has an id, and no version that could be read."""
    dataset = store.datasets.create("team/ratings")

    assert re.fullmatch(r"ds[a-z0-9]{13}", dataset.id)
    assert (dataset.name, dataset.versions, dataset.aliases) == ("team/ratings", (), ())
    assert _refusal(store.datasets.find, "team/ratings") == (
        "dataset `team/ratings` has no version yet",
        "Import one: `wf datasets import team/ratings PATH`.",
    )
    assert _refusal(store.datasets.create, dataset.id) == (f"there is a dataset `{dataset.id}` already", "")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b/c", "ratings:v1", "-x", "a/"])
def test_impossible_names(store: Store, tmp_path: Path, name: str) -> None:
    """Nothing is created or imported under them, and no alias can be one."""
    refusal = f"`{name}` cannot name a dataset"
    store.datasets.create("ratings")

    assert _refusal(store.datasets.create, name)[0] == refusal
    assert _refusal(store.datasets.import_path, name, _folder(tmp_path / "x"))[0] == refusal
    assert _refusal(store.datasets.alias, name, "ratings")[0] == refusal


def test_id_and_alias_mean_the_dataset(project: Project, tmp_path: Path) -> None:
    """For reading, for importing and for what jobs write."""
    store = project.store
    store.datasets.import_path("ratings", _folder(tmp_path / "one", a="1"))
    store.datasets.alias("dsr8k5qzn401lb5", "ratings")
    dataset = store.datasets.get("ratings")

    store.datasets.import_path(dataset.id, _folder(tmp_path / "two", a="2"))
    project.run("a", a=job(inputs={"in": "dataset dsr8k5qzn401lb5"}, outputs={"x": "dsr8k5qzn401lb5"}))

    dataset = store.datasets.get("dsr8k5qzn401lb5")
    assert [each.name for each in store.datasets.all()] == ["ratings"]
    assert (len(dataset.versions), dataset.aliases) == (3, ("dsr8k5qzn401lb5",))
    assert project.job("a").inputs[0].source == dataset.versions[1].ref
    assert project.job("a").outputs[0].dataset == dataset.versions[0].ref


def test_alias_moves_and_is_forgotten(store: Store) -> None:
    """It never hides a dataset."""
    store.datasets.create("one")
    store.datasets.create("two")
    store.datasets.alias("x", "one")
    store.datasets.alias("x", "two")

    assert store.datasets.get("x").name == "two"
    assert _refusal(store.datasets.alias, "one", "two") == ("`one` is a dataset itself", "an alias needs a free name")
    store.datasets.unalias("x")
    assert _refusal(store.datasets.unalias, "x") == ("there is no alias `x`", "")


# References


def test_tags(store: Store, tmp_path: Path) -> None:
    """A tag names one version of its dataset until it moves or is forgotten; it hides no version."""
    first = store.datasets.import_path("ratings", _folder(tmp_path / "one", a="1")).version
    second = store.datasets.import_path("ratings", _folder(tmp_path / "two", a="2")).version

    assert store.datasets.tag(first.ref, "v1").tags == ("v1",)
    assert store.datasets.tag("ratings:v1", "best").tags == ("best", "v1")
    assert store.datasets.find("ratings:v1").digest == first.digest
    assert store.datasets.tag("ratings", "v1").ref == second.ref == store.datasets.find("ratings:v1").ref
    assert _refusal(store.datasets.tag, "ratings", first.version) == (
        f"`{first.version}` is a version of `ratings`, and no tag can hide it",
        "",
    )
    for wrong in ("latest", "a b", ""):
        assert _refusal(store.datasets.tag, "ratings", wrong)[0] == f"`{wrong}` cannot be a tag"
    store.datasets.untag("ratings", "v1")
    assert _refusal(store.datasets.untag, "ratings", "v1") == ("dataset `ratings` has no tag `v1`", "")
    assert _refusal(store.datasets.find, "ratings:v1") == (
        "dataset `ratings` has no version `v1`",
        f"Its newest versions: {second.version}, {first.version}. Its tags: best.",
    )


def test_all_missing_datasets_are_named_together(project: Project, tmp_path: Path) -> None:
    """With near names and the way to import them; no job starts."""
    project.store.datasets.import_path("ratings", _folder(tmp_path / "one"))
    project.store.datasets.import_path("rating-s", _folder(tmp_path / "one"))

    with pytest.raises(EnvironmentProblem) as caught:
        project.run(
            "a, b",
            a=job(inputs={"x": "dataset rating", "y": "dataset ratings"}),
            b=job(inputs={"x": "dataset ratings:v9", "y": "dataset gradient/mnist", "z": "dataset rating"}),
        )

    version = project.store.datasets.find("ratings").version
    assert str(caught.value).splitlines() == [
        "there is no dataset `rating` in this project",
        "dataset `ratings` has no version `v9`",
        "there is no dataset `gradient/mnist` in this project",
    ]
    assert caught.value.hint.splitlines() == [
        "Did you mean `ratings` or `rating-s`? If not, import it: `wf datasets import rating PATH`.",
        f"Its newest versions: {version}.",
        "Import it: `wf datasets import gradient/mnist PATH`.",
    ]
    assert project.backend.handles == []


def test_a_run_reads_what_was_the_latest_when_it_began(project: Project) -> None:
    """Even when its own jobs write newer versions, each a version of its own."""
    project.run("a", a=job(outputs={"x": "ratings"}, leaves={"x": "old"}))
    before = project.store.datasets.find("ratings").ref

    project.run(
        "a -> b -> c",
        a=job(outputs={"x": "ratings"}, leaves={"x": "new"}),
        b=job(outputs={"x": "ratings"}, leaves={"x": "newer"}),
        c=job(inputs={"direct": "dataset ratings", "passed": "a.outputs.x"}),
    )

    versions = project.store.datasets.get("ratings").versions
    assert [(each.run, each.job) for each in versions] == [(2, "b"), (2, "a"), (1, "a")]
    assert [each.source for each in project.job("c").inputs] == [before, "a.outputs.x"]
    assert project.job("c").inputs[1].digest == versions[1].digest


# In and out


def test_an_import_is_a_version(store: Store, tmp_path: Path) -> None:
    """It knows its size, where it comes from and what was said of it; the same again costs no space."""
    folder = _folder(tmp_path / "mine", a="123", b="45")

    first = store.datasets.import_path("ratings", folder, "as it came")
    again = store.datasets.import_path("ratings", folder)

    version = first.version
    assert (version.bytes, version.files, version.origin, version.message) == (5, 2, str(folder), "as it came")
    assert (first.same_as, again.same_as) == ("", version.ref)
    assert again.version.version != version.version
    assert again.version.digest == version.digest
    assert json.loads(json.dumps(store.datasets.get("ratings").to_json()))["versions"][1]["message"] == "as it came"
    assert list(store.layout.temporary.iterdir()) == []
    assert folder.stat().st_mode & 0o200


def test_importing_a_file(store: Store, tmp_path: Path) -> None:
    """It lies alone in the dataset's folder; the file itself stays as it is."""
    file = _folder(tmp_path / "mine", **{"a.csv": "1"}) / "a.csv"

    version = store.datasets.import_path("ratings", file).version

    assert tree(store.artifacts.path(version.digest)) == {"a.csv": "1"}
    assert file.read_text() == "1"


def test_what_a_run_left_takes_no_space_again(project: Project, tmp_path: Path) -> None:
    """Content that is in the store as an output is the same content."""
    project.run("a", a=job(outputs={"x": "volume"}, leaves={"x": "1"}))

    imported = project.store.datasets.import_path("ratings", _folder(tmp_path / "mine", data="1"))

    assert imported.same_as == "run 1, a.x"


def test_links_are_never_followed(store: Store, tmp_path: Path) -> None:
    """They stay links; the ones that lead out are named. A link that the user names is what it points to."""
    folder = _folder(tmp_path / "mine", a="1")
    _folder(tmp_path / "secret", key="s3cret")
    (folder / "inside").symlink_to("a")
    (folder / "outside").symlink_to("../secret")
    (folder / "absolute").symlink_to(tmp_path / "secret" / "key")
    (tmp_path / "named").symlink_to("mine")

    imported = store.datasets.import_path("ratings", tmp_path / "named")

    assert tree(store.artifacts.path(imported.version.digest)) == {
        "a": "1",
        "absolute": f"-> {tmp_path}/secret/key",
        "inside": "-> a",
        "outside": "-> ../secret",
    }
    assert sorted(imported.outward) == ["absolute", "outside"]
    copy_out(store.artifacts.path(imported.version.digest), tmp_path / "out")
    assert (tmp_path / "out" / "outside").is_symlink()


def test_what_cannot_be_imported(project: Project, tmp_path: Path) -> None:
    """Nothing there, something that is no file, and a folder that holds the store; nothing is left behind."""
    pipe = _folder(tmp_path / "odd") / "pipe"
    os.mkfifo(pipe)
    take = project.store.datasets.import_path

    assert _refusal(take, "x", tmp_path / "none")[0] == f"there is no file or folder `{tmp_path}/none`"
    assert _refusal(take, "x", pipe.parent)[0] == f"{pipe} is neither a file, a folder nor a link: it cannot be kept"
    for holder in (project.root, tmp_path, project.store.layout.artifacts):
        assert _refusal(take, "x", holder)[0] == (
            f"`{holder}` holds wf's own store, or is part of it: it cannot be imported"
        )
    assert project.store.datasets.all() == ()
    assert list(project.store.layout.temporary.iterdir()) == []


@pytest.mark.parametrize("broken_by", [OSError(28, "No space left on device", "a"), KeyboardInterrupt()])
def test_a_copy_that_breaks_off_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_by: BaseException
) -> None:
    """Half of it in the store's own folder is removed, whatever the reason."""
    folder = _folder(tmp_path / "mine", a="1")

    def copy_half(_: Path, copy: Path, **__: object) -> None:
        _folder(copy, a="")
        raise broken_by

    monkeypatch.setattr("shutil.copytree", copy_half)
    with pytest.raises((EnvironmentProblem, KeyboardInterrupt)) as caught:
        store.datasets.import_path("x", folder)

    assert str(caught.value) in {"", f"{folder} cannot be copied: No space left on device: a"}
    assert list(store.layout.temporary.iterdir()) == []


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in {".", ".."} and len(name.encode()) < 100
)
_TREES = st.recursive(
    st.binary(max_size=20) | st.just(None), lambda inner: st.dictionaries(_NAMES, inner, max_size=3), max_leaves=8
)


def _write(at: Path, content: object) -> None:
    if isinstance(content, dict):
        at.mkdir()
        for name, inner in content.items():
            _write(at / name, inner)
    elif content is None:
        at.symlink_to("nowhere")
    else:
        assert isinstance(content, bytes)
        at.write_bytes(content)


def _read(at: Path) -> object:
    if at.is_symlink():
        return None
    return {each.name: _read(each) for each in at.iterdir()} if at.is_dir() else at.read_bytes()


@settings(max_examples=25, deadline=None)
@given(content=st.dictionaries(_NAMES, _TREES, max_size=4))
def test_what_goes_in_comes_out(content: dict[str, object]) -> None:
    """Whatever a folder holds; and the copy may be changed."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        (top / "project").mkdir()
        store = Store.open(top / "project")
        _write(top / "in", content)

        version = store.datasets.import_path("x", top / "in").version
        copy_out(store.artifacts.path(version.digest), top / "out")

        assert _read(top / "out") == content
        assert all(path.is_symlink() or path.stat().st_mode & 0o200 for path in (top / "out").rglob("*"))
        store.close()


def test_exporting_overwrites_nothing(store: Store, tmp_path: Path) -> None:
    """A new or an empty folder is filled; a file, or a folder with something in it, is refused."""
    content = store.artifacts.path(store.datasets.import_path("x", _folder(tmp_path / "in", a="1")).version.digest)
    full = _folder(tmp_path / "full", mine="1")

    copy_out(content, _folder(tmp_path / "empty"))
    copy_out(content, tmp_path / "deep" / "new")

    assert tree(tmp_path / "empty") == tree(tmp_path / "deep" / "new") == {"a": "1"}
    for taken in (full, full / "mine"):
        assert _refusal(copy_out, content, taken) == (
            f"`{taken}` is not an empty folder",
            "name a folder that is new or empty",
        )
    assert tree(full) == {"mine": "1"}


# Deleting


def test_content_goes_with_the_last_that_has_it(project: Project, tmp_path: Path) -> None:
    """A version, another dataset's, a job's output or a model keep it in the store."""
    store = project.store
    alone = store.datasets.import_path("ratings", _folder(tmp_path / "alone", a="alone")).version
    shared = store.datasets.import_path("ratings", _folder(tmp_path / "shared", a="shared")).version
    store.datasets.import_path("copy", tmp_path / "shared")
    project.run("a", a=job(outputs={"x": "ratings"}, leaves={"x": "1"}))
    written = store.datasets.find("ratings")
    store.datasets.import_path("ratings", _folder(tmp_path / "model", a="model"))
    model = store.models.create("m", "Custom", "ratings")

    assert store.datasets.delete(shared.ref) == ()
    removed = store.datasets.delete("ratings")

    assert [each.digest for each in removed] == [alone.digest]
    assert [each.name for each in store.datasets.all()] == ["copy"]
    there = {each.stem for each in store.layout.artifacts.glob("*/*")}
    assert there == {shared.digest, written.digest, model.digest}
    assert [each.digest for each in store.datasets.delete("copy")] == [shared.digest]
    assert project.job("a").outputs[0].dataset is None


def test_deleting_one_version(store: Store, tmp_path: Path) -> None:
    """Its tags go with it, and the one before is the latest."""
    first = store.datasets.import_path("x", _folder(tmp_path / "one", a="1")).version
    second = store.datasets.import_path("x", _folder(tmp_path / "two", a="2")).version
    store.datasets.tag(second.ref, "best")

    store.datasets.delete("x:best")

    assert store.datasets.find("x") == first
    assert _refusal(store.datasets.find, "x:best")[0] == "dataset `x` has no version `best`"


def test_nothing_is_deleted_during_a_run(project: Project, tmp_path: Path) -> None:
    """It may read the content at any moment, or be about to write the same."""
    project.store.datasets.import_path("x", _folder(tmp_path / "one", a="1"))
    refusals = []

    def delete(_: object) -> int:
        other = Store.open(project.root)  # in the thread of the job
        refusals.append(_refusal(other.datasets.delete, "x"))
        return 0

    project.run("a", a=job(inputs={"x": "dataset x"}, does=delete))

    assert refusals == [
        ("nothing can be deleted while run 1 goes on", "It may use what would be deleted: wait for its end.")
    ]
    assert project.store.datasets.find("x").files == 1


def test_a_deletion_that_fails_changes_nothing(store: Store, tmp_path: Path) -> None:
    """Its records come first, and all at once; only then files go."""
    version = store.datasets.import_path("x", _folder(tmp_path / "one", a="1")).version
    connection = connect(store.layout.database)

    def delete_half() -> None:
        with removing(connection, store.layout, store.artifacts) as removal:
            removal.db.execute("DELETE FROM dataset_versions")
            removal.drop({version.digest})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        delete_half()

    assert store.datasets.find("x") == version
    assert tree(store.artifacts.path(version.digest)) == {"a": "1"}
    assert store.artifacts.path(version.digest).stat().st_mode & 0o777 == 0o555


def test_many_import_at_once(store: Store, tmp_path: Path) -> None:
    """Several processes each make a version of the same dataset, of the same and of other content; none is lost."""
    code = (
        "import sys; from pathlib import Path; from wf.store import Store\n"
        "store = Store.open(Path(sys.argv[1]))\n"
        "for folder in sys.argv[2:] * 3: print(store.datasets.import_path('x', Path(folder)).version.ref)"
    )
    same = _folder(tmp_path / "same", a="1")
    folders = [_folder(tmp_path / str(number), a=str(number)) for number in range(4)]

    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(store.layout.root), str(same), str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for folder in folders
    ]
    printed = [line for child in children for line in child.communicate()[0].splitlines()]

    assert [child.returncode for child in children] == [0] * 4
    assert sorted(printed) == sorted(each.ref for each in store.datasets.get("x").versions)
    assert len(printed) == 24
    assert len({store.datasets.find(ref).digest for ref in printed}) == 4

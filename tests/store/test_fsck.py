"""`wf.store.fsck`: what can be wrong with a store, what is said about it, and what a repair does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Project, job
from wf.store.fsck import Finding
from wf.store.layout import in_use, remove_tree

MAKE = job(outputs={"x": "numbers"}, leaves={"x": "one"}, reuse=True)


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """A project in which job `a` has made the dataset `numbers`."""
    project = Project(tmp_path / "project")
    project.run("a", a=MAKE)
    return project


def findings(project: Project, *, repair: bool = False) -> list[Finding]:
    """What a check says."""
    return project.store.check(repair=repair, tell=lambda _: None).findings


def output(project: Project) -> tuple[Path, str, str]:
    """The artifact of the dataset: where it lies, how it is called, and who uses it."""
    version = project.store.datasets.find("numbers")
    named = f"artifact {version.digest[:12]}, which is dataset {version.ref}, `a.x` of run 1,"
    return project.store.artifacts.path(version.digest), version.digest, named


def damage(path: Path) -> None:
    """Change a byte, and nothing that can be seen without reading."""
    file = next(each for each in path.rglob("*") if each.is_file())
    before = file.stat()
    file.chmod(0o644)
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    file.chmod(0o444)


def test_nothing_is_wrong_after_a_run(project: Project) -> None:
    """Every artifact was read."""
    report = project.store.check(repair=False, tell=lambda _: None)

    assert (report.findings, report.artifacts, report.is_sound) == ([], 1, True)


def test_a_damaged_artifact_is_found_and_never_used(project: Project) -> None:
    """Although its size and times are as they were; its job simply runs again, and all is well."""
    path, digest, named = output(project)
    damage(path)
    maker = "`wf run flow.yaml` runs `a` again"

    assert findings(project) == [Finding(f"{named} is damaged", f"`wf fsck --repair` puts it aside; {maker}")]
    assert findings(project, repair=True) == [
        Finding(f"{named} is damaged", f"put aside as .wf/quarantine/{digest}; {maker}")
    ]
    assert not path.exists()
    assert findings(project) == [Finding(f"{named} is gone", maker)]
    project.run("a", a=MAKE)
    assert project.decisions() == ["a ran: its outputs of run 1 are gone, or changed"]
    assert findings(project) == []


def test_a_damaged_artifact_that_was_found_is_no_hit(project: Project) -> None:
    """Also where nothing was repaired."""
    damage(output(project)[0])
    findings(project)

    project.run("a", a=MAKE)

    assert project.decisions() == ["a ran: its outputs of run 1 are gone, or changed"]
    assert findings(project) == []


def test_an_import_is_fetched_from_where_it_came_from(project: Project, tmp_path: Path) -> None:
    """If the same still lies there."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    digest = project.store.datasets.import_path("ratings", source).version.digest
    damage(project.store.artifacts.path(digest))

    (found,) = findings(project, repair=True)

    assert found.repaired
    assert found.remedy == f"put aside as .wf/quarantine/{digest}; fetched from {source}"
    assert findings(project) == []
    (source / "file").write_text("other")
    damage(project.store.artifacts.path(digest))
    (found,) = findings(project, repair=True)
    assert found.remedy.endswith(f"import it again: `wf datasets import ratings {source}`")
    assert not found.repaired


def _unnamed(project: Project) -> str:
    path = project.root / "made"
    path.mkdir()
    return f"artifact {project.store.artifacts.commit(path).digest[:12]} belongs to no run, dataset or model"


def _lost_link(project: Project) -> str:
    (project.root / ".wf/runs/1/outputs/a/x").unlink()
    return ".wf/runs/1/outputs/a/x does not lead to the output"


def _import_of_a_killed_wf(project: Project) -> str:
    (project.root / ".wf/tmp/import-1").mkdir()
    return ".wf/tmp/import-1 was left by a wf that was killed"


def _outputs_of_a_killed_job(project: Project) -> str:
    (project.root / ".wf/runs/1/jobs/a/outputs").mkdir()
    return ".wf/runs/1/jobs/a/outputs was left by a wf that was killed"


def _damaged_code(project: Project) -> str:
    (project.root / ".wf/code/0123/steps").mkdir(parents=True)
    return "the copy of steps/ in .wf/code/0123 is damaged"


def _model_of_a_deleted_version(project: Project) -> str:
    version = project.store.datasets.find("numbers")
    model = project.store.models.create("net", "Custom", version.ref)
    project.store.datasets.delete(version.ref)
    return f"model {model.id} names the version {version.ref}, which was deleted"


@pytest.mark.parametrize(
    "spoil",
    [
        _unnamed,
        _lost_link,
        _import_of_a_killed_wf,
        _outputs_of_a_killed_job,
        _damaged_code,
        _model_of_a_deleted_version,
    ],
)
def test_repairs(project: Project, spoil: Callable[[Project], str]) -> None:
    """What needs no decision is said, and mended if asked for."""
    what = spoil(project)

    assert findings(project) == [Finding(what, "`wf fsck --repair` mends it")]
    (found,) = findings(project, repair=True)
    assert (found.what, found.repaired) == (what, True)
    assert findings(project) == []


def test_what_a_run_is_about_to_name_stays(project: Project) -> None:
    """While a run goes on, nothing is taken for left over."""
    seen: list[tuple[int, ...]] = []

    def check(_: object) -> None:
        _unnamed(project)
        report = project.store.check(repair=True, tell=lambda _: None)
        seen.append(report.running)
        assert report.findings == []

    # In the runner's thread, which owns the database.
    project.emit = lambda event: check(event) if type(event).__name__ == "RunStarted" else None
    project.run("b")

    assert seen == [(2,)]


def test_half_of_a_removed_artifact_is_no_artifact(project: Project) -> None:
    """A file that is gone from an artifact damages it."""
    path, _, named = output(project)
    remove_tree(next(each for each in path.rglob("*") if each.is_file()))

    assert [found.what for found in findings(project)] == [f"{named} is damaged"]


def test_links_of_a_job_that_was_killed_before_it_was_recorded_go(project: Project) -> None:
    """Links come first, then the record: without it there is nothing to lead to."""
    history, layout = project.store.history, project.store.layout
    history._connection.execute("UPDATE jobs SET state = 'cancelled'")
    link = layout.output(1, "a", "x")
    assert link.is_symlink()

    history.mark_swept([1])

    assert not link.is_symlink()


def test_what_a_killed_run_had_begun_to_make_goes_with_it(project: Project) -> None:
    """Such as a copy of the steps; but not while somebody makes something."""
    temporary = project.store.layout.temporary
    (temporary / "code-0123-1").mkdir()

    with in_use(temporary):
        project.store.history.mark_swept([1])
        assert (temporary / "code-0123-1").exists()
    project.store.history.mark_swept([1])

    assert list(temporary.iterdir()) == []

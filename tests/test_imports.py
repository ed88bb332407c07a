"""What a module of a project imports from the project."""

from pathlib import Path

from tests.projects import REPOSITORY
from wf.imports import imported_files


def files(top: Path, **content: str) -> None:
    """Write files: `a__b` is a/b.py."""
    for name, text in content.items():
        path = top.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_imports_are_followed_through_others_and_no_further(tmp_path: Path) -> None:
    """Absolute and relative ones, packages around them, and imports inside functions."""
    files(
        tmp_path,
        p__init="",
        p__one="from p import two\nimport json\n",
        p__two="def f():\n    from .sub.deep import x\n",
        p__sub__deep="from .. import three\n",
        p__three="import p.one\n",
        p__other="",
        q__far="",
    )
    (tmp_path / "p/init.py").rename(tmp_path / "p/__init__.py")

    assert set(imported_files(tmp_path, "p.one")) == {
        "p/__init__.py", "p/one.py", "p/two.py", "p/sub/deep.py", "p/three.py",
    }  # fmt: skip
    assert set(imported_files(tmp_path, "p.other")) == {"p/__init__.py", "p/other.py"}


def test_files_that_are_not_python_belong_to_every_module(tmp_path: Path) -> None:
    """Nobody can know who reads them."""
    files(tmp_path, p__one="")
    (tmp_path / "p/style.css").write_text("x")

    assert set(imported_files(tmp_path, "p.one")) == {"p/one.py", "p/style.css"}


def test_bytecode_belongs_to_no_module(tmp_path: Path) -> None:
    """It comes and goes with the code that it was made of."""
    files(tmp_path, p__one="")
    (tmp_path / "p/__pycache__").mkdir()
    (tmp_path / "p/__pycache__/one.cpython-311.pyc").touch()

    assert set(imported_files(tmp_path, "p.one")) == {"p/one.py"}


def test_the_steps_depend_on_what_they_use() -> None:
    """A change of the report page makes no new training."""
    train = imported_files(REPOSITORY, "steps.train")
    evaluate = imported_files(REPOSITORY, "steps.evaluate")

    assert {"steps/train.py", "steps/entry.py", "steps/recommender/training.py"} <= set(train)
    assert "steps/recommender/page.py" in evaluate
    assert not {"steps/recommender/page.py", "steps/ingest.py", "steps/clean.py"} & set(train)

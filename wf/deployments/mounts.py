"""Where a model's folder appears in a container, so that a model server finds a version in it. Pure but for looking.

TensorFlow Serving serves `BASE/NAME/1/saved_model.pb`, while a model is often kept as a folder with `saved_model.pb` at
its top. Such a one is shown as version 1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

SAVED_MODEL = "saved_model.pb"


def serving_folder(env: Mapping[str, str], command: Sequence[str]) -> PurePosixPath | None:
    """The folder in which a model server looks for versions, where it says so in TensorFlow Serving's way.

    Args:
        env: all variables of the container.
        command: its arguments, which win.
    """
    flag = "--model_base_path="
    named = [word.removeprefix(flag) for word in command if word.startswith(flag)]
    if named:
        return _place(named[-1])
    if "MODEL_BASE_PATH" in env:
        return _place(env["MODEL_BASE_PATH"]) / env.get("MODEL_NAME", "model")
    return None


def mount(content: Path, path: str, serving: PurePosixPath | None) -> tuple[Path, str]:
    """The folder of this machine to show, and where.

    Args:
        content: the model's folder.
        path: where the deployment wants it.
        serving: the folder in which the container looks for versions, if it does.
    """
    wanted = _place(path)
    if serving is not None and wanted in (serving, serving.parent):
        candidates = [content, content / serving.name] if wanted == serving.parent else [content]
        for folder in candidates:
            if (folder / SAVED_MODEL).is_file() and not any(each.name.isdecimal() for each in folder.iterdir()):
                return folder, str(serving / "1")
    return content, str(wanted)


def _place(path: str) -> PurePosixPath:
    """A path without doubled slashes or one at its end."""
    return PurePosixPath("/" + path.strip("/"))

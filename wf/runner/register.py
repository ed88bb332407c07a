"""`create-model@v1`, which needs no process: the input `model` gets an id."""

from pathlib import Path

from msgspec.structs import replace

from wf.plan import Task
from wf.runner.outputs import Collected, collect
from wf.store.artifacts import Artifacts
from wf.store.models import new_model, read_metadata


def register_model(task: Task, source: str, digest: str, outputs: Path, artifacts: Artifacts) -> tuple[Collected, str]:
    """Make the task's model out of the content that it was given, and write its id to the output, if there is one.

    Args:
        task: one that registers a model.
        source: where the content comes from: `JOB.outputs.NAME` or `DATASET:VERSION`.
        digest: of the content.
        outputs: the folder that would be `/outputs` in a container.
        artifacts: where the content lies and the id goes.

    Returns:
        What the job leaves, the model among it, and a line that says so.
    """
    assert task.model is not None, f"job {task.id} registers no model"
    metadata, note = read_metadata(artifacts.path(digest))
    model = new_model(task.model.name, task.model.type, digest, source, metadata)
    for output in task.outputs:
        (outputs / output.name).write_text(model.id)
    collected = collect(task, outputs, artifacts)
    line = f"registered `{model.name}` ({model.type}) as {model.id}"
    return replace(collected, model=model, notes=(*collected.notes, *filter(None, [note]))), line

"""`create-model@v1` in a run: the runner does it, and no backend hears of it."""

from tests.harness import Project, job
from wf.backends.base import Launch


def test_a_model_of_what_a_job_wrote(project: Project) -> None:
    """Its id is the output, without a newline; the model names the version that this run made, and who made it."""
    project.run(
        "train -> upload -> use",
        train=job(outputs={"saved": "rankings"}, leaves={"saved": "network"}),
        upload=job(model="ranker", inputs={"model": "train.outputs.saved"}, outputs={"model-id": "string"}),
        use=job(inputs={"id": "upload.outputs.model-id"}),
    )

    (model,) = project.store.models.all()
    upload = project.job("upload")
    assert project.story() == ["train succeeded", "upload succeeded", "use succeeded"]
    assert [each.launch.task.id for each in project.backend.handles] == ["train", "use"]
    assert project.backend.launch("use").inputs["id"].read_bytes() == model.id.encode()
    assert (model.name, model.type, model.run, model.job) == ("ranker", "Tensorflow", 1, "upload")
    assert model.dataset == project.job("train").outputs[0].dataset
    assert model.digest == project.job("train").outputs[0].digest
    assert (upload.model, upload.exit_code, upload.inputs[0].source) == (model.id, 0, "train.outputs.saved")
    assert upload.log.read_text() == f"registered `ranker` (Tensorflow) as {model.id}\n"


def test_a_model_of_a_volume_or_of_a_dataset(project: Project) -> None:
    """A volume is no version of anything; a dataset is read as it was when the run began. No output is needed."""
    project.run("a", a=job(outputs={"x": "rankings"}, leaves={"x": "old"}))
    before = project.store.datasets.find("rankings")

    project.run(
        "a -> b, a -> c",
        a=job(outputs={"v": "volume", "x": "rankings"}, leaves={"v": "1", "x": "new"}),
        b=job(model="of a volume", inputs={"model": "a.outputs.v"}),
        c=job(model="of a dataset", inputs={"model": "dataset rankings"}),
    )

    models = {each.name: each for each in project.store.models.all()}
    assert models["of a volume"].dataset is None
    assert models["of a volume"].digest == project.job("a").outputs[0].digest
    assert (models["of a dataset"].dataset, models["of a dataset"].digest) == (before.ref, before.digest)


def test_a_model_is_made_anew_each_time(project: Project) -> None:
    """The job before it may be reused: the model is then of the version that it made when it ran."""
    for _ in range(2):
        project.run(
            "train -> upload",
            train=job(outputs={"saved": "rankings"}, leaves={"saved": "network"}, reuse=True),
            upload=job(model="ranker", inputs={"model": "train.outputs.saved"}, outputs={"model-id": "string"}),
        )

    first, second = project.store.models.all()
    assert project.job("train").cached_from == 1
    assert first.id != second.id
    assert first.dataset == second.dataset == project.store.datasets.find("rankings").ref


def test_metadata_that_cannot_be_used_is_noted(project: Project) -> None:
    """The model is registered without it."""

    def write(launch: Launch) -> None:
        (launch.outputs / "saved" / "gradient-model-metadata.json").write_text("[]")

    project.run(
        "train -> upload",
        train=job(outputs={"saved": "volume"}, does=write),
        upload=job(model="ranker", inputs={"model": "train.outputs.saved"}),
    )

    assert project.story() == [
        "train succeeded",
        "upload note: ignored gradient-model-metadata.json: it does not hold an object",
        "upload succeeded",
    ]
    assert project.store.models.find("ranker").metadata == {}


def test_a_model_is_not_registered_when_what_it_needs_failed(project: Project) -> None:
    """As any other job it is skipped."""
    project.run(
        "train -> upload",
        train=job(outputs={"saved": "volume"}, exit=1),
        upload=job(model="ranker", inputs={"model": "train.outputs.saved"}),
    )

    assert project.story() == [
        "train failed: exited with code 1",
        "upload skipped: it needs `train`, which failed",
    ]
    assert project.store.models.all() == ()

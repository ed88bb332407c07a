"""§12: the true clients of Gradient, in the image that stands in for theirs, ask `wf`; and what scripts do with it."""

import json

import pytest

from tests.deployments.lab import SERVER
from tests.gradient.project import Gradient
from wf.secrets import kept_secrets

pytestmark = pytest.mark.docker


def write_model(gradient: Gradient) -> None:
    """A dataset `recommender`, as a training leaves it: the model at its top."""
    folder = gradient.root / "model"
    folder.mkdir()
    (folder / "saved_model.pb").write_text("a model")
    gradient.store().datasets.import_path("recommender", folder)


def test_s12_models_of_datasets_and_uploads(client: Gradient) -> None:
    """What scripts cut out of the answers is the model's id, and its files come back as they went."""
    write_model(client)

    log = client.script(
        r"""
        exec 2>/dev/null
        gradient models create --name one --modelType Tensorflow --datasetRef recommender | awk '{print $NF}' > one
        mkdir -p files/deep && echo hello > files/deep/a.txt && echo there > files/b.txt
        gradient models upload files --name two --modelType Custom --projectId $PROJECT_ID > answer
        two=$(awk 'NR==1 {print $NF}' answer)
        sed "s/$two/ID/" answer
        gradient models list > list
        grep -c "one .* $(cat one) .* Tensorflow" list
        grep -c "two .* $two .* Custom" list
        gradient models download --id $two --destinationDir back > /dev/null; cat back/deep/a.txt back/b.txt
        """
    )

    assert log == ["Model uploaded with ID: ID", "1", "1", "hello", "there"]
    assert [(each.name, each.type, each.job) for each in client.store().models.all()] == [
        ("two", "Custom", "A"),
        ("one", "Tensorflow", "A"),
    ]


def test_s12_datasets_are_filled_version_by_version(client: Gradient) -> None:
    """What is committed is in the store; what is not is gone after the run. Big files come in parts."""
    log = client.script(
        r"""
        exec 2>/dev/null
        id=$(gradient datasets create --name mine --storageProviderId splwfstore | awk '/Created/ {print $3}')
        mkdir -p in/sub && echo one > in/a.txt && echo two > in/sub/b.txt
        head -c 16000000 /dev/zero > in/big
        gradient datasets versions create --id $id --source-path in/ --message first > answer
        version=$(grep -o 'Committed dataset version: .*' answer | awk -F: '{print $3}')
        grep dataset answer | sed "s/$id:$version/REF/"
        gradient datasets files list --id $id:$version | grep -o 'a.txt\|sub/\|16000000'
        gradient datasets files get --id $id:$version --target-path out > /dev/null; cat out/a.txt out/sub/b.txt
        gradient datasets tags set --id $id:$version --name good | sed "s/$id/ID/"
        gradient datasets versions create --id $id | sed "s/$id:[a-z0-9]*/REF/"
        """
    )

    assert log == [
        "Created dataset version: REF",
        "Committed dataset version: REF",
        "a.txt",
        "16000000",
        "sub/",
        "one",
        "two",
        "Set dataset tag: ID:good",
        "Created dataset version: REF",
    ]
    [version] = client.store().datasets.get("mine").versions
    assert (version.message, version.tags, version.bytes) == ("first", ("good",), 16_000_008)


def test_s12_deployments_by_a_spec(client: Gradient, base_image: str) -> None:
    """Created, asked at the address that `jq` cuts out, updated under the same id, deleted."""
    write_model(client)
    spec = {
        "image": base_image,
        "port": 8000,
        "command": ["python3", "-c", SERVER],
        "env": [{"name": "ANSWER", "value": "one"}],
        "models": {"id": "recommender", "path": "/model"},
        "resources": {"instanceType": "C5", "replicas": 1},
        "healthChecks": {"readiness": {"path": "/ready", "periodSeconds": 1}},
    }
    write = f"cat > spec.yaml <<'END'\n{json.dumps(spec)}\nEND\n"

    log = client.script(
        write
        + r"""
id=$(gradient deployments create --name it --projectId $PROJECT_ID --spec spec.yaml | awk '{print $3}')
url=$(gradient deployments get --id $id | jq '.deploymentSpecs[0].endpointUrl' -r)
curl -s $url/saved_model.pb; echo
sed 's/"one"/"two"/' spec.yaml > next.yaml
gradient deployments update --id $id --spec next.yaml | sed "s/$id/ID/"
curl -s $url/; echo
gradient deployments list | grep -c "it .* $id"
gradient deployments create --name it --projectId $PROJECT_ID --spec spec.yaml
gradient deployments delete --id $id | sed "s/$id/ID/"
"""
    )

    assert log == [
        "a model",
        "Updated deployment: ID",
        "two",
        "1",
        "there is a deployment `it` already `wf deployments update it` changes it.",
        "Deleted deployment: ID",
    ]


def test_s12_workflows_and_secrets_are_there_to_look_at(client: Gradient) -> None:
    """Runs in the shape of §9, logs as a table, names of secrets."""
    client.run("jobs: {First: {uses: script@v1, with: {image: IMAGE, script: echo hello}}}")
    kept_secrets(client.root / ".wf").keep("my-key", "hunter2-hunter2")

    log = client.script(
        r"""
        id=$(gradient workflows list --projectId $PROJECT_ID | awk '/workflow.yaml/ {print $4}')
        gradient workflows get --id $id --show-runs --run 1 > object
        sed -n '/{$/,$p' object | sed '1s/.*/{/' | jq -c '[.id, .cluster.id, .status.phase, .status.jobs.First.phase]'
        gradient workflows logs --id $id --run 1 | grep -o 'Job Name: First\|hello'
        gradient secrets list team | grep -o my-key
        gradient secrets set project --id $PROJECT_ID --name x --value y 2>&1 | grep -o 'jobs cannot .*' | uniq
        """
    )

    assert log == [
        '[1,"wf","SUCCEEDED","SUCCEEDED"]',
        "Job Name: First",
        "hello",
        "my-key",
        "jobs cannot change the secrets of projects: `wf secrets set x`",
    ]

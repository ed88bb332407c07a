"""Jobs that ask `wf`, in real containers and processes, and what is left of it: nothing."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.gradient.project import Gradient
from tests.harness import Project, job
from wf.backends.base import Launch
from wf.backends.engine import find_engine
from wf.control.http import Request, Response, json_response

ASK = 'python3 -c \'import os, urllib.request as u; print(u.urlopen(os.environ["WF_API"] + "/wf/v1/me").read())\''


def who(request: Request) -> Response | None:
    """Tell a job its name."""
    return json_response(f"you are {request.job}") if request.path == "/wf/v1/me" else None


@pytest.mark.docker
def test_a_script_reaches_the_run_it_belongs_to(gradient: Gradient) -> None:
    """From a container, over the engine's own network; its token is in no log and no file."""
    gradient.handlers = (who,)

    log = gradient.script(f"{ASK}\necho $WF_API $PAPERSPACE_API_KEY\necho $PAPERSPACE_API_KEY | base64")

    assert log[0] == "b'\"you are A\"'"
    assert log[1].endswith("/*** ***")
    assert "***" in log[2]


@pytest.mark.docker
def test_no_trace_of_a_token_is_left(gradient: Gradient) -> None:
    """Neither in the store, nor in the engine; and a job that ran before is still the same job."""
    seen: list[str] = []
    gradient.handlers = (lambda request: seen.append(request.base.rpartition("/")[2]) or json_response("ok"),)  # type: ignore[func-returns-value]
    workflow = (
        f"jobs: {{A: {{uses: script@v1, with: {{image: IMAGE, script: {ASK!r}}}, outputs: {{o: {{type: volume}}}}}}}}"
    )
    workflow = workflow.replace("\\'", "''")
    gradient.run(workflow)
    token = seen[0].encode()

    files = [path for path in (gradient.root / ".wf").rglob("*") if path.is_file()]
    with contextlib.closing(find_engine().connect()) as client:
        left = client.containers(all=True, filters={"label": "wf.job=A"})

    assert [path for path in files if token in path.read_bytes()] == []
    assert not [each for each in left if token.decode() in str(client.inspect_container(each["Id"]))]
    gradient.run(workflow)
    assert len(seen) == 1  # the second run took it from the store


@pytest.mark.docker
def test_no_error_and_no_image_shows_a_token(gradient: Gradient) -> None:
    """Not where a job asks for what is not there, and fails with the token in its last words."""
    seen: list[str] = []
    gradient.handlers = (lambda request: seen.append(request.base.rpartition("/")[2]),)
    ask = 'python3 -c \'import os, urllib.request as u; u.urlopen(os.environ["WF_API"] + "/nothing")\' 2>&1'
    with contextlib.closing(find_engine().connect()) as client:
        before = {each["Id"] for each in client.images(all=True)}

        log = gradient.script(f"{ask}\necho $WF_API >&2\nexit 3")

        told = json.dumps([event.to_json() for event in gradient.events], default=str)
        made = [each["Id"] for each in client.images(all=True) if each["Id"] not in before]
        shown = [json.dumps([client.inspect_image(each), client.history(each)]) for each in made]
    (token,) = seen
    assert "HTTP Error 404" in "".join(log)
    assert gradient.story() == ["A failed: exited with code 3"]
    assert [text for text in (told, *shown) if token in text] == []
    assert not [
        path for path in (gradient.root / ".wf").rglob("*") if path.is_file() and token in path.read_text("latin1")
    ]


@pytest.mark.docker
def test_a_key_of_the_workflow_needs_no_account(gradient: Gradient) -> None:
    """`PAPERSPACE_API_KEY: secret:...` gets the run's own key where nobody set the secret, and else what was set."""
    workflow = (
        "defaults: {env: {PAPERSPACE_API_KEY: 'secret:key'}}\n"
        "jobs: {A: {uses: script@v1, with: {image: IMAGE, script: 'echo ${#PAPERSPACE_API_KEY}'}}}"
    )
    gradient.run(workflow)
    assert gradient.log("A") == ["40"]

    gradient.run(workflow, key="my-own-key")
    assert gradient.log("A") == ["10"]


def test_what_a_job_is_given_is_no_part_of_its_key(tmp_path: Path) -> None:
    """So the next run takes it from the store."""
    project = Project(tmp_path)
    given: list[str] = []

    def look(launch: Launch) -> None:
        given.append(launch.env["PROJECT_ID"])

    for _ in range(2):
        project.run("a", a=job(control=True, reuse=True, leaves={"o": "x"}, outputs={"o": "string"}, does=look))

    assert project.decisions() == ["a from 1"]
    assert len(given) == 1

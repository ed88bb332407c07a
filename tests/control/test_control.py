"""The server of a run: who may ask it, how, and until when."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

from wf.control.control import LOOPBACK, NOWHERE, Control, Doorway
from wf.control.http import Request, Response, json_response
from wf.errors import EnvironmentProblem


def echo(request: Request) -> Response | None:
    """Say what was asked."""
    if request.path == "/broken":
        raise ZeroDivisionError("no")
    if request.path == "/wrong":
        raise EnvironmentProblem("it is not there", hint="Bring it.")
    if request.path == "/unknown":
        return None
    asked = [request.method, request.path, dict(request.query), request.body.decode(), request.job]
    return json_response(asked)


@pytest.fixture
def control() -> Iterator[Control]:
    """A server for the jobs `a` and `b`."""
    control = Control(7, ["a", "b"], [lambda _: None, echo], lambda: LOOPBACK)
    yield control
    control.close()


def ask(
    url: str, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, object]:
    """Status and body of an answer."""
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # type: ignore[arg-type]
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["message"]


def environment(control: Control, job: str = "a") -> Mapping[str, str]:
    """What the job is given."""
    return control.environment(job, "p1")


def test_a_job_is_known_by_the_address_it_was_given(control: Control) -> None:
    """Whatever else it says in the headers, such as a key of the user's own."""
    for job in ("a", "b"):
        url = f"{environment(control, job)['WF_API']}/wf/v1/x%20y?q=1&q=2"

        assert ask(url, "POST", b"hi", {"X-API-Key": "mine"}) == (200, ["POST", "/wf/v1/x y", {"q": "2"}, "hi", job])


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_a_job_is_known_by_its_key(control: Control, header: str) -> None:
    """Where the address does not say who asks."""
    given = environment(control)
    key = given["PAPERSPACE_API_KEY"]
    url = given["WF_API"].removesuffix(f"/{key}")

    answer = ask(f"{url}/x", headers={header: f"Bearer {key}" if header == "Authorization" else key})

    assert answer == (200, ["GET", "/x", {}, "", "a"])


@pytest.mark.parametrize("key", ["", "wrong", "\xe9"])
def test_strangers_get_nothing(control: Control, key: str) -> None:
    """Every request needs a token of this run."""
    url = environment(control)["WF_API"].rpartition("/")[0]

    assert ask(f"{url}/x", "POST", b"much", {"X-API-Key": key}) == (401, "this run gave no such key")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/unknown", (404, "wf does not answer GET /unknown")),
        ("/wrong", (400, "it is not there Bring it.")),
        ("/broken", (500, "a bug in wf: ZeroDivisionError: no")),
    ],
)
def test_errors_are_answers(control: Control, path: str, answer: tuple[int, str]) -> None:
    """A handler that fails takes nothing with it."""
    assert ask(environment(control)["WF_API"] + path) == answer


def test_a_body_of_unknown_length_is_refused(control: Control) -> None:
    """It could not be told from the next request."""
    status, message = ask(environment(control)["WF_API"] + "/x", "POST", iter([b"a"]))

    assert (status, message) == (413, "wf takes requests of a known length up to 2 GiB")


def test_who_is_refused_may_finish_sending(control: Control) -> None:
    """A connection that is cut while the client still sends takes the answer with it."""

    def slowly() -> Iterator[bytes]:
        for _ in range(20):
            time.sleep(0.01)
            yield b"a" * 100_000

    status, _ = ask(environment(control)["WF_API"] + "/x", "POST", slowly())

    assert status == 413


def test_nothing_listens_before_a_job_starts_or_after_the_run() -> None:
    """The server is made when it is first needed."""
    asked = []
    control = Control(7, ["a"], [echo], lambda: asked.append(1) or LOOPBACK)  # type: ignore[func-returns-value]
    assert asked == []
    url = environment(control)["WF_API"]
    environment(control)
    assert asked == [1]

    control.close()
    control.close()

    with pytest.raises(urllib.error.URLError):
        ask(f"{url}/x")


def test_a_job_without_a_token_hears_of_nothing(control: Control) -> None:
    """Only those that may ask are told where."""
    assert environment(control, "c") == {}


@pytest.mark.parametrize("doorway", [None, Doorway("192.0.2.1", "192.0.2.1")])
def test_an_engine_elsewhere_is_told_so_where_it_is_used(doorway: Doorway | None) -> None:
    """The name that the job fails to find is the message."""
    control = Control(7, ["a"], [echo], lambda: doorway)

    assert environment(control)["PAPERSPACE_API_HOST"].startswith(f"{NOWHERE}/")


def test_the_client_of_gradient_is_told_all_its_hosts(control: Control) -> None:
    """So an unmodified one asks here."""
    given = dict(environment(control))
    base = given.pop("WF_API")

    assert given == {
        "PAPERSPACE_API_HOST": f"{base}/graphql",
        "PAPERSPACE_CONFIG_HOST": base,
        "PAPERSPACE_CONFIG_LOG_HOST": base,
        "PAPERSPACE_CONFIG_SERVICE_HOST": base,
        "PAPERSPACE_API_KEY": base.rpartition("/")[2],
        "PROJECT_ID": "p1",
    }

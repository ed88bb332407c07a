"""What steps ask the `wf` that runs them, over HTTP: see `wf/deployments/handlers.py` for the other side."""

import json
import os
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote

from steps.entry import StepError

LONGEST: Final = 1800.0
"""Seconds that a change may take."""


def ask(method: str, path: str, body: object = None) -> Any:
    """What `wf` answers, or nothing where it does not know what is asked about.

    Raises:
        StepError: there is no `wf`, or it refuses.
    """
    base = os.environ.get("WF_API")
    if not base:
        raise StepError("this step asks the wf that runs it: start it in a workflow, with `wf run`")
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{base}/wf/v1/{quote(path)}", content, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=LONGEST) as answer:  # noqa: S310 - the address is wf's own
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        said = error.read()
        try:
            message = json.loads(said)["message"]
        except (ValueError, KeyError, TypeError):
            message = said.decode("utf-8", "replace")
        raise StepError(str(message)) from error
    except OSError as error:
        raise StepError(f"wf does not answer: {error}") from error

"""What a test does without a component that it needs."""

import os
from typing import NoReturn

import pytest


def missing(reason: str, required_by: str = "WF_REQUIRE_DOCKER") -> NoReturn:
    """Skip the test, or fail it where this variable says that the component has to be there."""
    if os.environ.get(required_by, "0") != "0":
        pytest.fail(f"{required_by} is set, but {reason}", pytrace=False)
    pytest.skip(reason)

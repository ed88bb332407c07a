"""`wf.store.claims`: one `wf` at a time carries a job out."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wf.store.claims import Claim, Claims, Holder, Taken
from wf.store.layout import Layout

_CHILD = """
import sys, time
from pathlib import Path
from wf.store.claims import Claims, Holder
from wf.store.layout import Layout
claim = Claims(Layout(Path(sys.argv[1]))).take("key")
claim.name(Holder(7, "a"))
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture(name="layout")
def _layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.create()
    return layout


def take(claims: Claims, name: str = "key") -> Claim:
    """A claim that is free."""
    claim = claims.take(name)
    assert isinstance(claim, Claim)
    return claim


def test_a_claim_is_taken_once(layout: Layout) -> None:
    """Others learn who has it, until it is given back, when nothing of it is left."""
    claim = take(Claims(layout))
    assert claim.left_by is None
    assert Claims(layout).take("key") == Taken(None)

    claim.name(Holder(3, "train"))
    assert Claims(layout).take("key") == Taken(Holder(3, "train"))
    assert Claims(layout).named_runs() == Claims(layout).held_runs() == {3}

    claim.give_back()
    assert list(layout.claims.iterdir()) == []
    assert take(Claims(layout)).left_by is None


def test_a_claim_outlives_a_killed_process_by_name_only(layout: Layout) -> None:
    """Whoever takes it then learns for what the dead one had it."""
    claims = Claims(layout)
    with subprocess.Popen([sys.executable, "-c", _CHILD, str(layout.root)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"taken\n"
        assert claims.take("key") == Taken(Holder(7, "a"))
        child.send_signal(signal.SIGKILL)

    assert claims.named_runs() == {7}
    assert not claims.held_runs()
    claim = take(claims)
    assert claim.left_by == Holder(7, "a")
    claim.let_go()
    claims.forget([6])
    assert claims.named_runs() == {7}
    claims.forget([7])
    assert list(layout.claims.iterdir()) == []


def test_a_claim_that_is_held_is_not_forgotten(layout: Layout) -> None:
    """Somebody carries the job on."""
    claim = take(Claims(layout))
    claim.name(Holder(1, "a"))

    Claims(layout).forget([1])

    assert Claims(layout).take("key") == Taken(Holder(1, "a"))


def test_a_claim_that_names_nobody_is_cleared_away(layout: Layout) -> None:
    """Such as one that went while it was looked at, and was made again by that."""
    (layout.claims / "key").touch()

    assert not Claims(layout).held_runs()

    assert list(layout.claims.iterdir()) == []

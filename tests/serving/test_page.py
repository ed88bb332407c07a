"""The page at `/`, in a real browser."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import missing
from tests.serving.running import Client

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def chromium() -> str:
    """A browser that is installed."""
    if CHROMIUM:
        return CHROMIUM
    return missing("no chromium is installed: apt-get install chromium", "WF_REQUIRE_BROWSER")


def rendered(chromium: str, address: str, profile: Path) -> str:
    """The page after its script has run, as the browser has it."""
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=6000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_the_page_shows_models_and_offers_a_form(half: Client, chromium: str, tmp_path: Path) -> None:
    """The script fills in what is served, and a request that the server answers."""
    half.post("/v1/models/half:predict", {"instances": [1.0]})

    page = rendered(chromium, f"http://{half.address}/", tmp_path)

    assert "<td>half</td><td>2</td><td>AVAILABLE</td><td>tensorflow: as asked</td>" in page
    assert "Last minute:" in page
    assert '<option value="half">half</option>' in page
    assert '<option value="serving_default">serving_default</option>' in page
    assert "<td>x</td><td>input</td><td>float</td><td>[any]</td>" in page
    assert "https://" not in page


def test_the_form_predicts(half: Client, chromium: str, tmp_path: Path) -> None:
    """A page that presses the button shows the answer: `#try` in its address does so."""
    page = rendered(chromium, f"http://{half.address}/#try", tmp_path)

    assert '<pre id="answer">{"predictions":[3.25]}</pre>' in page

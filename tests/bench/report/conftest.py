"""Pages without their pictures, for drawing is nine tenths of their time; and one browser for all that need one."""

import pytest
from matplotlib.figure import Figure

PICTURES = {
    "png": bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f0001"
        "010100b138f6140000000049454e44ae426082"
    ),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1"></svg>',
}


@pytest.fixture(autouse=True)
def _outlines(request, monkeypatch):
    """Lay no figure out and draw none, unless the test is marked ``drawn``."""
    if not request.node.get_closest_marker("drawn"):
        monkeypatch.setattr(Figure, "savefig", lambda _, target, **given: target.write(PICTURES[given["format"]]))


@pytest.fixture(scope="package")
def browser():
    """One browser; where there is none, tests that need it are skipped before they ask for it."""
    from tests.bench.report.browsing import chromium

    with chromium() as made:
        yield made


@pytest.fixture
def visit(browser):
    """Opens pages, and holds them to being silent and alone."""
    from tests.bench.report.browsing import Visit

    made = Visit(browser)
    yield made
    made.close()

"""Pages without their pictures, for drawing is nine tenths of their time; and one browser for all that need one."""

import pytest

from tests.bench.report.outlines import outlines_alone


@pytest.fixture(autouse=True)
def _outlines(request, monkeypatch):
    """Lay no figure out and draw none, unless the test is marked ``drawn``."""
    if not request.node.get_closest_marker("drawn"):
        outlines_alone(monkeypatch)


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

"""Every committed page in a browser: the site's first page and all that it leads to, as they lie in ``reports/``."""

from pathlib import Path

import pytest

from tests.bench.report.browsing import (
    IN_CHROMIUM,
    NARROW,
    THIN,
    UNFOLD,
    WIDE,
    grave_faults,
    misplaced,
    size,
    spilling,
    unfold,
)

pytestmark = IN_CHROMIUM

REPORTS = Path(__file__).parents[3] / "reports"
OWN = {"latest", "compare", "history"}
"""Where reports go by default; these are nobody's but the reader's."""

GITHUB = """<style>
  body { margin: 0; width: 838px; font: 16px/1.5 sans-serif; }
  table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
  th, td { padding: 6px 13px; border: 1px solid; } code { font: 85% monospace; }
</style>"""
"""How GitHub shows a README: its column's width, and tables that scroll where they do not fit."""

PAGES = sorted(
    path.relative_to(REPORTS).as_posix()
    for path in REPORTS.rglob("index.html")
    if path.relative_to(REPORTS).parts[0] not in OWN
)


def test_the_first_page_leads_to_every_page(visit):
    page = visit.open((REPORTS / "index.html").as_uri())
    links = page.locator("main a[href]").evaluate_all("all => all.map((one) => one.href.split('#')[0])")
    below = {(REPORTS / name).as_uri() for name in PAGES if name != "index.html"}
    assert below
    assert below <= set(links)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_fits_and_all_can_use_it(visit, name, scheme):
    """Folded and unfolded, on a wide screen and on a phone; nothing is asked of the network, and nothing fails."""
    page = visit.open((REPORTS / name).as_uri(), WIDE, scheme)
    for opens in (lambda _: None, unfold):
        opens(page)
        for width in (WIDE, NARROW):
            page.set_viewport_size(size(width))
            assert misplaced(page) == [], width
            assert spilling(page) == [], width
    assert page.evaluate("document.documentElement.classList.contains('dark')") is (scheme == "dark")
    page.set_viewport_size(size(WIDE if scheme == "light" else NARROW))
    page.evaluate(THIN)
    assert grave_faults(page) == []


def test_no_table_of_the_readme_is_cut_at_the_width_of_github(visit, tmp_path):
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True}).enable("table")
    place = tmp_path / "index.html"
    text = markdown.render((REPORTS.parent / "README.md").read_text(encoding="utf-8"))
    base = f'<html data-ready><meta charset=utf-8><base href="{REPORTS.parent.as_uri()}/">'
    place.write_text(f"{base}{GITHUB}{text}", encoding="utf-8")
    page = visit.open(place.as_uri())
    page.evaluate(UNFOLD)
    tables = page.locator("table").evaluate_all("all => all.map((one) => [one.scrollWidth, one.clientWidth])")
    assert tables
    assert all(needed <= given for needed, given in tables)

"""Pages in Chromium, opened from disk with no network: they are silent and alone, they fit, and all can use them."""

import shutil
from contextlib import contextmanager

import pytest

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: install the distribution's package")

WIDE, NARROW = 1440, 390
TEXTS = "h1, h2, h3, nav a, .answer li, p, figcaption, label, output, dt, dd, #distrust li, #again li"

OVERLAPPING = """(selector) => {
  const boxes = [...document.querySelectorAll(selector)]
    .filter((one) => one.checkVisibility() && one.textContent.trim())
    .map((one) => [one, one.getBoundingClientRect()]);
  const inside = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const found = [];
  boxes.forEach(([one, box], row) => boxes.slice(row + 1).forEach(([other, another]) => {
    if (!one.contains(other) && !other.contains(one) && inside(box, another))
      found.push(`${one.textContent.trim().slice(0, 40)} | ${other.textContent.trim().slice(0, 40)}`);
  }));
  return found;
}"""
TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter((one) => !one.closest('.scroll, figure') && one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`)"""

SPILLING = """() => [...document.querySelectorAll('table.data :is(th, td)')]
  .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)
  .map((one) => `cell: ${one.textContent.trim().slice(0, 60)}`)"""

UNFOLD = "document.querySelectorAll('details').forEach((one) => (one.open = true))"
DRAWN = """() => [...document.querySelectorAll('details.chapter[open] .scroll > table.data')]
  .every((one) => one.closest('.grid, .dt-container'))"""

# Of rows that are made alike one a table is enough, and strokes of drawn figures say nothing to axe-core.
THIN = """() => {
  document.querySelectorAll('table.data').forEach((table) => {
    const seen = new Set();
    for (const row of [...table.tBodies[0].rows]) {
      const make = [row, ...row.querySelectorAll('*')].map((one) => `${one.tagName} ${one.className}`).join('|');
      if (seen.has(make)) row.remove();
      seen.add(make);
    }
  });
  document.querySelectorAll('figure > svg > g').forEach((one) => one.remove());
}"""


@contextmanager
def chromium():
    """Start the browser of all tests; each opens pages in a context of its own."""
    with api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


class Visit:
    """Contexts of one browser; closing them holds all their pages to being silent and alone."""

    def __init__(self, browser):
        self._browser, self._contexts, self._said = browser, [], []

    def open(self, address, width=WIDE, scheme="light", *, unfolded=False):
        """Open a page, and wait until its scripts are done."""
        context = self._browser.new_context(viewport=size(width), color_scheme=scheme, offline=True)
        self._contexts.append(context)
        context.on("console", lambda message: self._hear(message.text, heard=message.type == "error"))
        context.on("weberror", lambda error: self._hear(str(error.error)))
        context.on("dialog", self._dismiss)
        context.on("request", lambda one: self._hear(one.url, heard=not one.url.startswith(("file:", "data:"))))
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        if unfolded:
            unfold(page)
        return page

    def _hear(self, text, *, heard=True):
        if heard:
            self._said.append(text)

    def _dismiss(self, dialog):
        self._hear(f"dialog: {dialog.message}")
        dialog.dismiss()

    def close(self):
        """Close all pages."""
        for context in self._contexts:
            context.close()
        assert self._said == [], "no request leaves, nothing fails, no name is run"


def size(width):
    """Return the window of a screen that is so wide."""
    return {"width": width, "height": 900}


def unfold(page):
    """Open all folds, and wait until their tables are made."""
    page.evaluate(UNFOLD)
    page.wait_for_function(DRAWN)


def misplaced(page):
    """Return what is wider than its window, and what lies over something else."""
    width = page.viewport_size["width"]
    found = [*page.evaluate(TOO_WIDE), *page.evaluate(OVERLAPPING, TEXTS)]
    reaches = page.evaluate("document.documentElement.scrollWidth")
    return found if reaches == width else [*found, f"the page reaches to {reaches} of {width} px"]


def spilling(page):
    """Return the cells of tables whose text runs into the next one."""
    return page.evaluate(SPILLING)


def grave_faults(page):
    """Return what axe-core finds that keeps somebody from using a page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in grave]

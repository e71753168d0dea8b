"""What a click does: work that is bounded by what it shows, however many cases the page holds."""

import pytest

from bench.bench_report import cases
from bench.records.store import Run
from bench.report.run.formats import Format
from bench.report.run.page import write_report
from tests.bench.report.browsing import IN_CHROMIUM, unfold
from tests.bench.report.outlines import no_figures

pytestmark = IN_CHROMIUM

FEW, MANY = 40, 200
CHANGES_A_ROW, ASKED_A_TABLE = 10, 4

# In the click's own task: tables whose rows change, changes of the document, and questions that make a browser lay out.
CLICK = """(selector) => {
  const input = document.querySelector(selector);
  let asked = 0;
  const counted = (target, name) => {
    const own = Object.getOwnPropertyDescriptor(target, name);
    const of = own.get ? 'get' : 'value';
    Object.defineProperty(target, name, { ...own, [of](...given) { asked += 1; return own[of].apply(this, given); } });
    return () => Object.defineProperty(target, name, own);
  };
  const restored = [
    ...['scrollWidth', 'scrollHeight', 'clientWidth', 'clientHeight', 'getBoundingClientRect', 'getClientRects']
      .map((name) => counted(Element.prototype, name)),
    ...['offsetWidth', 'offsetHeight', 'offsetTop', 'offsetLeft', 'innerText']
      .map((name) => counted(HTMLElement.prototype, name)),
    counted(window, 'getComputedStyle'),
  ];
  const watch = new MutationObserver(() => {});
  watch.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  input.click();
  const changes = watch.takeRecords();
  watch.disconnect();
  restored.forEach((one) => one());
  const touched = new Set(changes.map((one) => one.target.closest?.('tbody')?.closest('table.data')).filter(Boolean));
  return {
    tables: [...touched].map((one) => one.closest('[aria-label]').getAttribute('aria-label')),
    changes: changes.length,
    asked,
    rows: document.querySelector('#first').tBodies[0].rows.length,
  };
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Two pages that differ in the number of their cases alone."""
    place = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        no_figures(patch)
        for count in (FEW, MANY):
            run = Run(place / "run.json", "", tuple(cases(count)))
            write_report([run], place / str(count), wanted=(Format.HTML,))
    return place


@pytest.fixture
def clicked(visit, pages):
    """Clicks a batch on the page of so many cases, and counts the work."""

    def clicks(count, *, unfolded=False):
        page = visit.open((pages / str(count) / "index.html").as_uri(), unfolded=False)
        if unfolded:
            unfold(page)
        return page.evaluate(CLICK, "#choice input[name=batch][value='32']")

    return clicks


def test_a_click_on_a_folded_page_touches_the_rows_shown_alone(clicked):
    few, many = clicked(FEW), clicked(MANY)
    assert few["tables"] == many["tables"] == ["Recommenders"]
    assert many["asked"] == few["asked"], "cases do not make the browser lay out more often"
    assert many["changes"] <= few["changes"] + CHANGES_A_ROW * (many["rows"] - few["rows"])


def test_a_click_on_an_unfolded_page_grows_with_its_tables_and_not_with_its_cases(clicked):
    few, many = clicked(FEW, unfolded=True), clicked(MANY, unfolded=True)
    assert few["tables"] == many["tables"]
    assert len(set(many["tables"])) == len(many["tables"]) > 5
    assert many["asked"] <= ASKED_A_TABLE * len(many["tables"])
    assert many["changes"] < 3 * few["changes"], f"{MANY} cases against {FEW}"

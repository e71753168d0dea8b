"""A gate's result as a table, Markdown and JUnit XML."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from rich.table import Table

from bench.records.gate import CaseResult, Estimate, Facts, GateResult, SideRole, Verdict

COLUMNS = ("case", "verdict", "head / base [95 %]", "margin", "p95", "itself", "sees", "FLOPs", "ops", "peak")

LEGEND = (
    "head / base: ratio of median latencies, under load of those at the objective's percentile; itself: the same code "
    "against itself in the same run; sees: the "
    "slow-down that this run would have called SLOWER four times in five; FLOPs, ops, peak: change of FLOPs per user, "
    "dispatched operators and peak bytes of a request."
)

CONCLUSIONS = {
    0: "PASS: nothing is slower, costs more or answers otherwise.",
    1: "FAIL: see below.",
    3: "AMBIGUOUS: this run cannot tell; raise --budget-minutes, or quiet the machine.",
}


def conclusion(result: GateResult) -> str:
    """Say in one line what the gate decides."""
    if result.interrupted:
        return f"INCOMPLETE: {result.interrupted}"
    return CONCLUSIONS[result.exit_status]


def table(result: GateResult) -> Table:
    """Lay the cases out for a terminal."""
    laid = Table(box=None, padding=(0, 2, 0, 0))
    for name in COLUMNS:
        laid.add_column(name, justify="left" if name in ("case", "verdict") else "right", overflow="fold")
    for case in result.cases:
        laid.add_row(*row(case))
    return laid


def row(case: CaseResult) -> list[str]:
    """Return the cells of a case, under `COLUMNS`."""
    base, head = case.facts.get(SideRole.BASE), case.facts.get(SideRole.HEAD)
    return [
        case.case.name,
        case.verdict.value,
        _ratio(case.latency),
        f"{case.margin:.0%}",
        _ratio(case.p95),
        _ratio(case.noise),
        "" if case.detectable is None else f"{case.detectable:+.1%}",
        *(_change(base, head, name) for name in ("flops_per_user", "operators", "peak_bytes")),
    ]


def _ratio(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.ratio:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _change(base: Facts | None, head: Facts | None, name: str) -> str:
    before, after = getattr(base, name, None), getattr(head, name, None)
    if before is None or after is None:
        return "n/a"
    return "=" if before == after else f"{(after / before - 1):+.1%}" if before else f"{after:,.0f}"


def findings(result: GateResult) -> list[str]:
    """Say what fails, what is forgiven and what could not be told, a line each."""
    lines = []
    for case in result.cases:
        name = case.case.name
        if case.verdict is Verdict.SLOWER and case.latency is not None:
            lines.append(f"{name}: SLOWER, {case.latency.ratio - 1:+.1%}, p {case.p_slower:.2g}")
        if case.verdict is Verdict.AMBIGUOUS:
            lines.append(f"{name}: AMBIGUOUS: {case.why or 'neither a difference nor sameness could be shown'}")
        for violation in case.violations:
            forgiven = " (accepted)" if violation.accepted else ""
            lines.append(f"{name}: {violation.check}{forgiven}: {violation.said}")
    return lines


def power(result: GateResult) -> str:
    """Say how small a slow-down the run could have seen."""
    seen = [case.detectable for case in result.cases if case.detectable is not None]
    if not seen:
        return "No latency was compared."
    most, least = max(seen), min(seen)
    spread = f"{most:.1%}" if len(seen) == 1 else f"{least:.1%} to {most:.1%}, by case"
    return f"This run could have seen a slow-down of {spread} (four times in five)."


def markdown(result: GateResult) -> str:
    """Write the result for a pull request or a job summary."""
    head = [f"### Latency gate: {conclusion(result)}", "", f"{result.head} against {result.base}. {power(result)}", ""]
    cells = [[cell.replace("|", "\\|") for cell in row(case)] for case in result.cases]
    lines = [f"| {' | '.join(line)} |" for line in (COLUMNS, ["---"] * len(COLUMNS), *cells)]
    said = [f"- {_escaped(line)}" for line in (*findings(result), *result.notes)]
    facts = f"{result.pairs} process pairs in {result.seconds:.0f} s; `{result.command}`"
    return "\n".join([*head, *lines, "", *said, *([""] if said else []), LEGEND, "", facts, ""])


def _escaped(line: str) -> str:
    return line.replace("<", "&lt;").replace("|", "\\|")


def junit(result: GateResult) -> str:
    """Write the result as JUnit XML: a test case a case; what is ambiguous is an error, what fails a failure."""
    cases = result.cases
    failed = [judged for judged in cases if judged.fails]
    ambiguous = [judged for judged in cases if judged.verdict is Verdict.AMBIGUOUS and not judged.fails]
    suite = ET.Element(
        "testsuite",
        name="bench.gate",
        tests=str(len(cases)),
        failures=str(len(failed)),
        errors=str(len(ambiguous)),
        time=f"{result.seconds:.1f}",
        timestamp=result.started,
    )
    for case in cases:
        test = ET.SubElement(suite, "testcase", classname="bench.gate", name=case.case.name)
        lines = findings(result.model_copy(update={"cases": [case]}))
        kind = "failure" if case in failed else "error" if case in ambiguous else "system-out"
        element = ET.SubElement(test, kind)
        if kind != "system-out":
            message = lines[0] if lines else case.verdict.value
            element.set("message", "".join(filter(str.isprintable, message)))
        text = "\n".join([*lines, *(f"{name}: {cell}" for name, cell in zip(COLUMNS, row(case), strict=True))])
        element.text = "".join(letter for letter in text if letter.isprintable() or letter == "\n")
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)

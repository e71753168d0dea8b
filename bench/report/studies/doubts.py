"""What weakens the figures of studies, and what stands behind each."""

from __future__ import annotations

from bench.records.record import Provenance
from bench.records.studies import Studies
from bench.report.reading.distrust import Doubt, Severity, cut_short, few


def doubts(studies: Studies) -> list[Doubt]:
    """List what weakens the figures of studies, the gravest first."""
    sources = studied(studies)
    found = [Doubt(text, Severity.UNUSABLE) for text in _labelled(studies)]
    found += [Doubt(text, Severity.COMPARED) for text in cut_short(studies.evaluations)]
    if any(source.dataset.get("synthetic") for source in sources):
        found.append(Doubt("Synthetic data: orderings of quality need not hold on real data.", Severity.COMPARED))
    found += [
        Doubt(
            f"{one.case.recommender} on {one.case.dataset_variant}: its beams were studied on {one.users:,} of "
            f"{one.all_users:,} users.",
            Severity.NOISY,
        )
        for one in studies.beams
        if one.users < one.all_users
    ]
    if any(source.dirty for source in sources):
        text = "The code was changed after its last commit; the commit alone does not give these numbers again."
        found.append(Doubt(text, Severity.TRACED))
    return list(dict.fromkeys(found))


def _labelled(studies: Studies) -> list[str]:
    """Name what is labelled, each label once."""
    names: dict[str, list[str]] = {}
    told = [(one.case, one.labels) for one in studies.evaluations] + [(one.case, one.labels) for one in studies.beams]
    for case, labels in told:
        for label in labels:
            names.setdefault(label, []).append(case.variant)
    return [f"{few(found)}: {label}." for label, found in names.items()]


def studied(studies: Studies) -> list[Provenance]:
    """Return what stands behind each study."""
    made = [one.provenance for one in studies.evaluations] + [one.provenance for one in studies.beams]
    return made + [one.provenance for one in studies.probes]

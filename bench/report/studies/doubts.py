"""What weakens the figures of studies, and what stands behind each."""

from __future__ import annotations

from bench.records.record import Provenance
from bench.records.studies import Studies
from bench.report.reading.distrust import Doubt, Severity, cut_short, few
from bench.report.reading.naming import caption, dataset_name, label_of


def doubts(studies: Studies) -> list[Doubt]:
    """List what weakens the figures of studies, the gravest first."""
    sources = studied(studies)
    every = [Doubt(text, Severity.UNUSABLE) for text in _labelled(studies)]
    every += [Doubt(text, Severity.COMPARED) for text in cut_short(studies.evaluations)]
    if any(source.dataset.get("synthetic") for source in sources):
        every.append(Doubt("Synthetic data: orderings of quality need not hold on real data.", Severity.COMPARED))
    every += [
        Doubt(
            f"{label_of(study)} on {dataset_name(study)}: its beams were studied on {study.users:,} of "
            f"{study.all_users:,} users.",
            Severity.NOISY,
        )
        for study in studies.beams
        if study.users < study.all_users
    ]
    if any(source.dirty for source in sources):
        text = "The code was changed after its last commit; the commit alone does not give these numbers again."
        every.append(Doubt(text, Severity.TRACED))
    return list(dict.fromkeys(every))


def _labelled(studies: Studies) -> list[str]:
    """Name what is labelled, each label once."""
    names: dict[str, list[str]] = {}
    told = [(caption(evaluation), evaluation.labels) for evaluation in studies.evaluations]
    told += [(caption(study), study.labels) for study in studies.beams]
    for name, labels in told:
        for label in labels:
            names.setdefault(label, []).append(name)
    return [f"{few(cases)}: {label}." for label, cases in names.items()]


def studied(studies: Studies) -> list[Provenance]:
    """Return what stands behind each study."""
    made = [evaluation.provenance for evaluation in studies.evaluations] + [study.provenance for study in studies.beams]
    return made + [probe.provenance for probe in studies.probes]

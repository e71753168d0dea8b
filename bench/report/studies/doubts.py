"""What weakens the figures of studies, and what stands behind each."""

from __future__ import annotations

from bench.records.record import Provenance
from bench.records.studies import Studies
from bench.report.reading.distrust import Doubt, Severity, cut_short, labelled
from bench.report.reading.labels import listed
from bench.report.reading.naming import base_of, dataset_name


def doubts(studies: Studies) -> list[Doubt]:
    """List what weakens the figures of studies, the gravest first."""
    sources = studied(studies)
    every = [Doubt(text, Severity.UNUSABLE) for text in labelled([*studies.evaluations, *studies.beams])]
    every += [Doubt(text, Severity.COMPARED) for text in cut_short(studies.evaluations)]
    if any(source.dataset.get("synthetic") for source in sources):
        every.append(Doubt("Synthetic data: orderings of quality need not hold on real data.", Severity.COMPARED))
    every += [Doubt(text, Severity.NOISY) for text in _samples(studies)]
    if any(source.dirty for source in sources):
        text = "The code was changed after its last commit; the commit alone does not give these numbers again."
        every.append(Doubt(text, Severity.TRACED))
    return list(dict.fromkeys(every))


def _samples(studies: Studies) -> list[str]:
    """Say which beams were studied on a sample of a dataset's users."""
    names: dict[tuple[str, int, int], list[str]] = {}
    for study in studies.beams:
        if study.users < study.all_users:
            sample = dataset_name(study), study.users, study.all_users
            names.setdefault(sample, []).append(base_of(study))
    return [
        f"Beams on {dataset} were studied on {users:,} of {every:,} users: {listed(list(dict.fromkeys(several)))}."
        for (dataset, users, every), several in names.items()
    ]


def studied(studies: Studies) -> list[Provenance]:
    """Return what stands behind each study."""
    made = [evaluation.provenance for evaluation in studies.evaluations] + [study.provenance for study in studies.beams]
    return made + [probe.provenance for probe in studies.probes]

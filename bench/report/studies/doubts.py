"""What weakens the figures of studies, and what stands behind each."""

from __future__ import annotations

from bench.records.learning import Ending
from bench.records.record import Provenance
from bench.records.studies import Studies
from bench.report.reading.trained import how_trained


def doubts(studies: Studies) -> list[str]:
    """List what weakens the figures of studies."""
    sources = studied(studies)
    found = []
    if any(source.dataset.get("synthetic") for source in sources):
        found.append("Synthetic data: orderings of quality need not hold on real data.")
    if any(source.dirty for source in sources):
        found.append("The code was changed after its last commit; the commit alone does not give these numbers again.")
    ranked = [(one.case, one.labels) for one in studies.evaluations] + [(one.case, one.labels) for one in studies.beams]
    found += [f"{case.variant}: {label}." for case, labels in ranked for label in labels]
    for one in studies.evaluations:
        seen = one.weights.part_of_an_epoch
        where = f"{one.case.variant} on {one.case.dataset_variant}"
        if how_trained(one) == Ending.CUT_SHORT.value:
            found.append(f"The training of {where} was cut short: more of it would rank better.")
        elif seen is not None:
            found.append(f"{where} saw {seen:.0%} of the training examples once: more training would rank better.")
    found += [
        f"{one.case.recommender} on {one.case.dataset_variant}: its beams were studied on {one.users:,} of "
        f"{one.all_users:,} users."
        for one in studies.beams
        if one.users < one.all_users
    ]
    return list(dict.fromkeys(found))


def studied(studies: Studies) -> list[Provenance]:
    """Return what stands behind each study."""
    made = [one.provenance for one in studies.evaluations] + [one.provenance for one in studies.beams]
    return made + [one.provenance for one in studies.probes]

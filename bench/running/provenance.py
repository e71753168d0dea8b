"""How to get a number again: the command, the code, the machine, the software and the data."""

from __future__ import annotations

import torch

from bench.data.dataset import Dataset
from bench.measure import machine
from bench.records.record import Provenance


def provenance(command: str, dataset: Dataset, device: torch.device, started: str) -> Provenance:
    """Describe what stands behind figures of one dataset.

    Args:
        command: As the user typed it.
        dataset: What was recommended from.
        device: Where it ran.
        started: When, ISO 8601.

    """
    commit, dirty = machine.commit()
    source = dataset.source
    facts = {"checksum": source.checksum, "synthetic": source.synthetic, "users": dataset.users}
    facts |= source.counted
    facts |= {"items": len(dataset.catalogue), "interactions": len(dataset.flat)}
    return Provenance(
        command=command,
        commit=commit,
        dirty=dirty,
        started=started,
        machine=machine.machine(device) | {"load average at the end": machine.load_average()},
        software=machine.software(),
        dataset=source.options | facts,
        dataset_warnings=list(source.warnings),
    )

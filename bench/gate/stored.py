"""A results file as the base of a gate."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from bench.cli.options import choose_device
from bench.gate.judge import Stored
from bench.ground.bounds import fault
from bench.ground.textfiles import read_text
from bench.measure import machine
from bench.records import store
from bench.records.cost import Flops
from bench.records.gate import Facts, GateResult, Process, SideRole
from bench.records.record import Record
from models.errors import UserError

SAME_MACHINE = ("system", "processor", "cores", "memory GiB", "GPU")
"""What must be equal for times to be comparable; kernel updates count."""


def read_stored(path: Path, device: str | None) -> Stored:
    """Read a results file of pytest-benchmark or of an earlier gate, whose head it then is.

    Args:
        path: The file.
        device: Where head is going to be measured.

    Raises:
        UserError: It is neither, or damaged.

    """
    here = machine.machine(choose_device(device))
    text = read_text(path)
    if '"lite-llm4rec-bench-gate"' not in text:
        return _of_records(list(store.read(path).records), here)
    try:
        result = GateResult.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{path}: {fault(error)}: damaged, or written by a newer version") from error
    cases = [case for case in result.cases if SideRole.HEAD in case.processes]
    return Stored(
        cases={case.case.name: case.case for case in cases},
        processes={case.case.name: case.processes[SideRole.HEAD] for case in cases},
        facts={case.case.name: case.facts[SideRole.HEAD] for case in cases if SideRole.HEAD in case.facts},
        foreign=_foreign(result.machine, here),
    )


def _of_records(records: list[Record], here: dict[str, str | int | float | None]) -> Stored:
    measured = {record.case.name: record for record in records if record.latency is not None}
    return Stored(
        cases={name: record.case for name, record in measured.items()},
        processes={
            name: [Process(samples_s=record.latency.samples_s, turns=record.latency.turns)]
            for name, record in measured.items()
            if record.latency is not None
        },
        facts={name: _facts(record) for name, record in measured.items()},
        foreign=next((why for record in measured.values() if (why := _foreign(record.provenance.machine, here))), ""),
    )


def _facts(record: Record) -> Facts:
    flops = record.flops if isinstance(record.flops, Flops) else None
    return Facts(
        flops_per_user=flops and flops.per_user,
        operators=flops and flops.operators,
        parameters=record.weights and record.weights.parameters,
    )


def _foreign(there: dict[str, str | int | float | None], here: dict[str, str | int | float | None]) -> str:
    """Say what tells the file's machine from this one; empty where nothing does."""
    for name in SAME_MACHINE:
        if there.get(name) != here.get(name):
            return f"the file was measured on another machine ({name}: {there.get(name)}, here {here.get(name)})"
    return ""

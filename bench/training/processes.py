"""Processes that train: torchrun's beside each other, and others that want the same checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from filelock import FileLock

LONGEST_WAIT = timedelta(days=7)
"""How long torchrun's other processes wait for the first, which may wait for another training."""


def processes() -> int:
    """Return how many processes train together: what torchrun says, else 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return which of torchrun's processes this is."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process trains the checkpoint of a folder; under torchrun the first process waits for all."""
    if rank() != 0:
        yield
        return
    path = folder.absolute().resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def said_by_first(value: bool, device: torch.device) -> bool:
    """Return the first process's value in all of them, however long it had to wait for its turn."""
    if processes() == 1:
        return value
    PartialState(cpu=device.type == "cpu", timeout=LONGEST_WAIT)
    values = [value]
    broadcast_object_list(values, from_process=0)
    return values[0]

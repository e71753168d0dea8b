"""What the commands have in common: settings as words, the device, the threads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from models.errors import UserError


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """Turn ``name=value`` words into settings; the recommender's own types decide what a value is.

    Raises:
        UserError: A word has no ``=``.

    """
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"--set {word}: write it as name=value, such as --set dropout=0.4")
        settings[name.strip()] = value.strip()
    return settings


def choose_device(name: str | None) -> torch.device:
    """Return the device that was asked for; by default a CUDA GPU if there is one, else the CPU.

    Raises:
        UserError: There is no such device.

    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"--device {name} cannot be used ({reason}): try --device cpu") from error
    return device


@contextmanager
def all_cores() -> Iterator[None]:
    """Compute with every core in the body: training is not timed, and measuring leaves a core free."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def set_threads(threads: int | None) -> int:
    """Set how many threads torch computes with, and return how many that are.

    Raises:
        UserError: More than the machine has, or fewer than one.

    """
    cores = os.cpu_count() or 1
    if threads is not None:
        if not 1 <= threads <= cores:
            raise UserError(f"--threads {threads}: this machine has {cores} cores; give 1 to {cores}")
        torch.set_num_threads(threads)
    return torch.get_num_threads()

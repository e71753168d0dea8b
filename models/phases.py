"""The marks that steps of a request carry, for whoever profiles it or counts in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.profiler import record_function
from torch.utils._python_dispatch import _get_current_dispatch_mode

PHASE = "phase:"
"""Prefix of the `record_function` labels that the harness reads as phases."""


def phase(name: str) -> AbstractContextManager[object]:
    """Mark a step of a request, such as ``encode`` or ``decode step 1``, for whoever profiles it or counts in it."""
    if torch.compiler.is_compiling() or not (_profiling() or _get_current_dispatch_mode() is not None):
        return nullcontext()
    return record_function(f"{PHASE}{name}")


def _profiling() -> bool:
    enabled: bool = torch._C._autograd._profiler_enabled()  # noqa: SLF001 - torch asks itself so
    return enabled

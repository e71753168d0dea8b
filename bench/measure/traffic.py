"""Bytes that a request moves, read off its operators.

Two quantities, for rooflines. `bytes` is what all operators read and write, each for itself: the traffic of a run
in which nothing stays in a cache and nothing is fused. `touched_bytes` is what was there before the request began
(weights, item vectors, inputs) and is read, each byte once: no implementation of the same arithmetic reads less.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from bench.measure.operators import EMPTY, FILLERS, ROW_READERS, SCATTERS, base_name, is_view, writes_in_place

OVERWRITERS = FILLERS | {"copy", "normal", "uniform", "bernoulli", "random"}
"""Operators that, in place, write all of their first tensor and read none of it."""


@dataclass(frozen=True)
class Traffic:
    """Bytes of a request or of one phase; see the module's docstring."""

    bytes: int
    touched_bytes: int


@dataclass(frozen=True)
class Move:
    """What one operator reads and writes.

    Attributes:
        bytes: All of it.
        reads: The tensors that it reads whole.
        table: A tensor of which it reads some bytes only; None for none.
        numbers: Which rows of the table, in any order; None where it is not rows that are read.
        gathered: How many bytes of the table it reads, repeated ones each time.

    """

    bytes: int
    reads: tuple[Tensor, ...] = ()
    table: Tensor | None = None
    numbers: Tensor | None = None
    gathered: int = 0


def tensor_bytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor's values; a value that `expand` repeats counts once."""
    if not _is_plain(tensor) or tensor.numel() == 0:
        return tensor.numel() * tensor.element_size()
    kept = (size for size, step in zip(tensor.shape, tensor.stride(), strict=True) if step)
    return math.prod(kept) * tensor.element_size()


def move(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Move:
    """Tell what an operator moved that has run.

    Views and reserved memory move nothing. Lookups read as much as they return, and what points at it. Scattering
    in place reads what is scattered and writes as much. All else reads its tensors and writes its results whole.
    """
    name, in_place = base_name(func), writes_in_place(func)
    if is_view(func) or name in EMPTY:
        return Move(0)
    given = _tensors((args, kwargs))
    written = sum(map(tensor_bytes, _tensors(result)))
    if name in ROW_READERS:
        table, *pointers = given
        read = sum(map(tensor_bytes, pointers))
        return Move(2 * written + read, tuple(pointers), table, _row_numbers(name, args), written)
    if in_place and name in SCATTERS:
        target, *others = given
        most = max((other.numel() for other in others), default=0)
        return Move(sum(map(tensor_bytes, others)) + most * target.element_size(), tuple(others))
    reads = given[1:] if in_place and name in OVERWRITERS else given
    return Move(sum(map(tensor_bytes, reads)) + written, tuple(reads))


def _row_numbers(name: str, args: tuple[Any, ...]) -> Tensor | None:
    """Return the row numbers that a lookup reads; None where it is not whole rows, or a mask."""
    numbers: Tensor | None = None
    if name == "embedding":
        numbers = args[1]
    elif name == "index" and len(args[1]) == 1:
        numbers = args[1][0]
    elif name == "index_select" and args[1] == 0:
        numbers = args[2]
    return None if numbers is None or numbers.dtype is torch.bool or numbers.is_meta else numbers


class TrafficLedger:
    """Adds up what operators move, in all and apart for each phase."""

    def __init__(self) -> None:
        self._moved: defaultdict[str | None, int] = defaultdict(int)
        self._touched: defaultdict[str | None, _Touched] = defaultdict(_Touched)
        self._made: set[StorageWeakRef] = set()  # while weakly held, an address is not given out again

    def note(self, moved: Move, given: Any, result: Any, phases: Iterable[str]) -> None:
        """Add one operator.

        Args:
            moved: What it moved.
            given: Its arguments.
            result: What it returned.
            phases: Those that are under way.

        """
        touched = [(tensor, _span(tensor)) for tensor in moved.reads if self._was_there(tensor)]
        if moved.table is not None and self._was_there(moved.table):
            touched.append((moved.table, _gathered(moved.table, moved.numbers, moved.gathered)))
        for where in (None, *phases):
            self._moved[where] += moved.bytes
            for tensor, ranges in touched:
                self._touched[where].add(tensor, ranges)
        before = {StorageWeakRef(tensor.untyped_storage()) for tensor in _tensors(given) if _is_plain(tensor)}
        made = {StorageWeakRef(tensor.untyped_storage()) for tensor in _tensors(result) if _is_plain(tensor)}
        self._made |= made - before

    def traffic(self, phase: str | None = None) -> Traffic:
        """Return what has been added up, in one phase or in all."""
        return Traffic(self._moved[phase], self._touched[phase].total)

    def _was_there(self, tensor: Tensor) -> bool:
        return _is_plain(tensor) and StorageWeakRef(tensor.untyped_storage()) not in self._made


class _Touched:
    """Ranges of bytes in storages, each byte counted once."""

    def __init__(self) -> None:
        self._ranges: dict[StorageWeakRef, NDArray[np.int64]] = {}

    def add(self, tensor: Tensor, ranges: NDArray[np.int64]) -> None:
        """Add ranges of bytes [n, 2] of the storage in which a tensor lies."""
        storage = StorageWeakRef(tensor.untyped_storage())
        earlier = self._ranges.get(storage)
        if earlier is None:
            self._ranges[storage] = union(ranges)
        elif len(earlier) != 1 or (ranges < earlier[:, 0]).any() or (ranges > earlier[:, 1]).any():  # or nothing is new
            self._ranges[storage] = union(np.concatenate([earlier, ranges]))

    @property
    def total(self) -> int:
        """Bytes in all ranges."""
        return sum(int((ranges[:, 1] - ranges[:, 0]).sum()) for ranges in self._ranges.values())


def union(ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join ranges from a first to behind a last byte, int64 [n, 2], that meet or overlap; in order."""
    ordered = ranges[ranges[:, 0].argsort()]
    ends = np.maximum.accumulate(ordered[:, 1])
    first = np.flatnonzero(np.concatenate([np.ones(min(1, len(ends)), dtype=bool), ordered[1:, 0] > ends[:-1]]))
    last = np.append(first[1:], len(ends))[: len(first)] - 1
    return np.stack([ordered[first, 0], ends[last]], axis=1)


def _span(tensor: Tensor) -> NDArray[np.int64]:
    """Return the range from a tensor's first byte to behind its last, [1, 2]; gaps between strides are in it."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    reach = 0 if tensor.numel() == 0 else 1 + sum((size - 1) * step for size, step in steps)
    start, size = int(tensor.storage_offset()), tensor.element_size()
    return np.array([[start * size, (start + reach) * size]], dtype=np.int64)


def _gathered(table: Tensor, numbers: Tensor | None, gathered: int) -> NDArray[np.int64]:
    """Return the ranges of a table's rows, [n, 2], or without row numbers one of as many bytes from its start."""
    size = table.element_size()
    start = int(table.storage_offset()) * size
    with _disable_current_modes():
        if numbers is None or not table[:1].is_contiguous():
            return np.array([[start, start + min(gathered, tensor_bytes(table))]], dtype=np.int64)
        rows: NDArray[np.int64] = numbers.unique().cpu().numpy().astype(np.int64) % len(table)
    starts = start + rows * (int(table.stride(0)) * size)
    return np.stack([starts, starts + math.prod(table.shape[1:]) * size], axis=1)


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor is a range of one storage."""
    return not tensor.is_nested and tensor.layout is torch.strided

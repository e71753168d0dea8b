"""What kind of operator torch's dispatcher is about to run, told by its name and schema."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

PROFILER = "profiler."
"""How the names of operators begin that only mark where a phase begins and ends."""

UNDECLARED_VIEWS = frozenset({"_unsafe_view", "unsafe_split", "unsafe_split_with_sizes"})
"""Operators that move nothing, yet whose schemas do not say that they return views."""

EMPTY = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})
"""Operators that reserve memory and write none."""

FILLERS = frozenset(
    {"fill", "zero", "zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones"}
    | {"full", "full_like", "new_full", "scalar_tensor", "arange", "eye"}
)
"""Operators that write values which they did not read anywhere."""

ROW_READERS = frozenset({"embedding", "index", "index_select", "gather"})
"""Operators that read of their first tensor what the others point at, and no more."""

SCATTERS = frozenset({"scatter", "scatter_add", "scatter_reduce", "index_put", "index_copy", "index_fill", "index_add"})
"""Operators that, in place, write of their first tensor what the others point at, and no more."""

MOVERS = (
    EMPTY
    | FILLERS
    | ROW_READERS
    | {"cat", "stack", "take", "masked_select", "masked_fill", "where", "topk", "sort", "flip", "roll", "repeat"}
    | {"repeat_interleave", "tril", "triu", "constant_pad_nd", "copy", "_to_copy", "clone", "split_with_sizes_copy"}
    | {"scatter", "slice_scatter", "select_scatter", "masked_scatter", "index_put", "index_copy", "index_fill"}
)
"""Operators that put values somewhere or choose among them, and compute none."""


@cache
def base_name(func: Any) -> str:
    """Return an operator's name without its namespace, its overload and the underscore of one that works in place."""
    return str(func._schema.name).split("::")[-1].rstrip("_")  # noqa: SLF001 - the schema has no other name


@cache
def is_view(func: Any) -> bool:
    """Tell whether an operator returns what it was given under another shape, and touches no value."""
    if torch.Tag.inplace_view in func.tags or base_name(func) in UNDECLARED_VIEWS:
        return True
    return bool(_aliases(func)) and not writes_in_place(func)


@cache
def writes_in_place(func: Any) -> bool:
    """Tell whether an operator writes into one of its arguments."""
    return any(alias.is_write for alias in _aliases(func))


def _aliases(func: Any) -> list[Any]:
    return [argument.alias_info for argument in func._schema.arguments if argument.alias_info]  # noqa: SLF001 - as above

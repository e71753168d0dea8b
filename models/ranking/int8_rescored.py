"""Every item in int8, the best of them again in float32: a quarter of the bytes, and a bound on what is missed.

With q = q' + p and e = e' + r, where primes are the rounded vectors, a score differs from its rounded one by
``p·e' + q·r``, so by no more than ``|p||e'| + |q||r|`` (Cauchy-Schwarz). The residuals' lengths are known: those of
items once, that of the query at each request. An item that was not nominated has a rounded score of at most the last
nominee's, so that a list whose last score lies beyond that by more than the bound is the list of all items.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.graphs import is_watched
from models.int8 import Int8Rows
from models.ranking import exact, fused
from models.ranking.lists import lists
from models.ranking.ranker import CatalogueRanker, Index, Rows, width_of
from models.serving import Recommendations

CANDIDATES = 4
"""Items that rounded scores nominate, as a multiple of those asked for."""

AT_ONCE = 1 << 16
"""Rows that are rounded at a time."""

SLACK = 1e-5
"""Allowance for rounding of a score in float32, as a share of the product of both lengths."""


class Int8Rescored(Index):
    """Rounded rows beside the rows themselves.

    Args:
        rows: [n + 1, D].
        bias: [n + 1]; None for none.

    """

    def __init__(self, rows: Rows, bias: Tensor | None) -> None:
        self._rows, self._bias = rows, bias
        parts, lengths = [], []
        for start in range(0, len(rows), AT_ONCE):
            chunk = rows[start : start + AT_ONCE].float().detach()
            parts.append(Int8Rows.of(chunk))
            coarse = parts[-1].float()
            lengths.append(torch.stack([coarse.norm(dim=1).max(), (chunk - coarse).norm(dim=1).max()]))
        self._longest, self._residual = torch.stack(lengths).amax(0).tolist()
        self._rounded = Int8Rows(torch.cat([part.values for part in parts]), torch.cat([part.scales for part in parts]))
        self.nbytes = self._rounded.values.nbytes + self._rounded.scales.nbytes
        self.details = f"best {CANDIDATES} x k scored again"

    def rank(self, query: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
        """Score every item in int8, and the best again."""
        best, items = self._nominated(query, k, seen_items)
        return lists(*exact.rescored(query, self._rows, self._bias, best, items, k), k)

    def flops(self, users: int, k: int) -> int:
        """Add up the products with every row, padding's too, and those with the nominees."""
        rows = len(self._rows)
        return 2 * users * width_of(self._rows) * (rows + min(k * CANDIDATES, rows))

    def proven(self, query: Tensor, k: int, seen_items: Tensor | None = None) -> Tensor:
        """See `Index.proven`; the bound is that of the module's docstring."""
        best, items = self._nominated(query, k, seen_items)
        ranked = lists(*exact.rescored(query, self._rows, self._bias, best, items, k), k)
        length = query.float().norm(dim=1)
        residual = (query.float() - Int8Rows.of(query).float()).norm(dim=1)
        error = residual * self._longest + length * self._residual + SLACK * length * self._longest
        last = best[:, -1].float()  # -inf where all items were nominated
        proven: Tensor = (last == -torch.inf) | (ranked.scores[:, -1] > last + error)
        return proven

    def _nominated(self, query: Tensor, k: int, seen_items: Tensor | None) -> tuple[Tensor, Tensor]:
        on_host = query.device.type == "cpu" and not is_watched()
        scan = fused.scan if on_host else exact.scan
        return scan(query.float(), self._rounded, self._bias, min(k * CANDIDATES, len(self._rows)), seen_items)


INT8_RESCORED = CatalogueRanker(
    name="int8-rescored", kind="every item in int8, the best again in float32", build=Int8Rescored
)

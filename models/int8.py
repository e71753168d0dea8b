"""Weights in int8: a product takes a byte a weight, and the sums are exact in int32.

Vector-wise quantisation as in LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339, section 2.1), without
its decomposition of outliers: each row of a weight has a scale of its own, made once, and so has each
row of activations, made at every product. Rows do not know of each other, so that a user's scores do
not depend on who else is in the batch. Embeddings, norms and attention stay in float.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

LARGEST = 127
"""-128 is left out, so that a row and its negative have the same codes."""

CUDA_ROWS, MULTIPLE = 17, 8
"""torch's product of int8 matrices on CUDA takes no fewer rows, and other sizes only in these multiples."""


@dataclass(frozen=True)
class Int8Rows:
    """A matrix [n, D] whose row i is ``scales[i] * values[i]``.

    Attributes:
        values: int8 [..., n, D].
        scales: float32 [..., n].

    """

    values: Tensor
    scales: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> Self:
        """Round a matrix [..., n, D]; each value ends within half a step, its row's largest / 127, of what it was."""
        matrix = matrix.detach().float()
        scales = matrix.abs().amax(-1).clamp_(min=torch.finfo(torch.float32).tiny * LARGEST) / LARGEST
        return cls((matrix / scales[..., None]).round_().to(torch.int8), scales)

    @property
    def dtype(self) -> torch.dtype:
        """What the matrix stands for is float32."""
        return torch.float32

    def __matmul__(self, columns: Tensor) -> Tensor:
        """Multiply by [..., D, m] as the float matrix does: some modules multiply their layers' weights themselves."""
        return self.float().to(columns.dtype) @ columns

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.values)

    def __getitem__(self, rows: slice | Tensor) -> Self:
        """Choose rows."""
        return type(self)(self.values[rows], self.scales[rows])

    def float(self) -> Tensor:
        """Return the matrix that the codes stand for, float32."""
        return self.values.float() * self.scales[..., None]


def products(query: Tensor, rows: Tensor | Int8Rows, bias: Tensor | None = None) -> Tensor:
    """Return the inner products of `query` [..., D] with each of `rows` [n, D], plus `bias` [n]; [..., n]."""
    if isinstance(rows, Tensor):
        return functional.linear(query, rows, bias)
    left = Int8Rows.of(query.reshape(-1, query.shape[-1]))
    sums = _int32_sums(left.values, rows.values)  # [R, n]
    scores = (sums * left.scales[:, None]).mul_(rows.scales)
    scores = scores if bias is None else scores + bias
    return scores.to(query.dtype).view(*query.shape[:-1], len(rows))


def _int32_sums(left: Tensor, right: Tensor) -> Tensor:
    """Multiply int8 [R, D] by int8 [n, D] transposed; int32 [R, n]."""
    if left.is_cuda or left.shape[1] == 1:  # of width 1, torch 2.13 returns noise on CPUs
        return _padded_sums(left, right)
    return torch._int_mm(left, right.T)  # noqa: SLF001 - torch has no other product of int8


def _padded_sums(left: Tensor, right: Tensor) -> Tensor:
    """Do the same with zeros put where CUDA's product wants them."""
    (rows, width), columns = left.shape, len(right)
    wide, below = -width % MULTIPLE, max(0, CUDA_ROWS - rows)
    if wide or below:
        left = functional.pad(left, (0, wide, 0, below))
    if wide or columns % MULTIPLE:  # a copy of the weight, where its sizes ask for it
        right = functional.pad(right, (0, wide, 0, -columns % MULTIPLE))
    return torch._int_mm(left, right.T)[:rows, :columns]  # noqa: SLF001 - as above


class Int8Linear(nn.Module):
    """A linear layer with rounded weights, for inference.

    Args:
        weight: float [out, in].
        bias: float [out]; None for none.

    """

    values: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        rounded = Int8Rows.of(weight)
        self.register_buffer("values", rounded.values)
        self.register_buffer("scales", rounded.scales)
        self.register_buffer("bias", None if bias is None else bias.detach())

    @property
    def weight(self) -> Int8Rows:
        """The rounded weight [out, in]."""
        return Int8Rows(self.values, self.scales)

    def forward(self, states: Tensor) -> Tensor:
        """Apply the layer to [..., in]."""
        return products(states, self.weight, self.bias)


def round_weights(module: nn.Module) -> None:
    """Put `Int8Linear` in place of every linear layer below `module`, GPT-2's transposed ones included.

    A weight that is also an embedding stays as that.
    """
    for parent, name, layer in list(_linear_layers(module)):
        weight = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
        setattr(parent, name, Int8Linear(weight, layer.bias))


def _linear_layers(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear | Conv1D]]:
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, (nn.Linear, Conv1D)):
                yield parent, name, child

"""What a student learns from its teacher: the states behind each block of layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def block_ends(layers: int, blocks: int) -> list[int]:
    """Return how many layers stand before the end of each block, [blocks].

    Raises:
        ValueError: The layers are no multiple of the blocks.

    """
    if layers % blocks:
        raise ValueError(f"{layers} layers are no {blocks} blocks of equal depth")
    return [layers // blocks * block for block in range(1, blocks + 1)]


def told(student: Sequence[Tensor], teacher: Sequence[Tensor], *, direction: float, length: float) -> Tensor:
    """Return how far a student's states lie from its teacher's, a scalar: the sum over blocks of the mean over states.

    As the released code has it: ``direction * (1 - cosine) + length * |difference|`` of each state.

    Args:
        student: States behind each block, [T, D] each.
        teacher: Likewise.
        direction: Weight of the cosine.
        length: Weight of the norm of the difference.

    """
    apart = student[0].new_zeros(())
    for ours, theirs in zip(student, teacher, strict=True):
        ours, theirs = ours.float(), theirs.float()  # noqa: PLW2901 - squares of half precision overflow
        cosine = functional.cosine_similarity(ours, theirs, dim=1)
        apart = apart + direction * (1 - cosine.mean()) + length * (ours - theirs).norm(dim=1).mean()
    return apart

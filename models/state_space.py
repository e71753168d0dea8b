"""A selective state space: the Mamba layer of transformers, with a scan that can be trained and that can go on.

Gu and Dao 2023 (arXiv 2312.00752), section 3. Weights, sizes and initial values are those of transformers'
`MambaMixer`. Its scan for machines without fused kernels is not used: its backward pass takes time in the square of
the length, its step of one place rounds to float32, and it computes the outputs of all places where one is wanted. The
scan here goes through the places one by one as well, with a backward pass of its own, and keeps to its inputs' dtype.

Shapes: B users, S places, D width, E = 2 D inner width, N numbers of state a unit, R rank of the time step, K places
of the convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers import MambaConfig
from transformers import initialization as init
from transformers.models.mamba.modeling_mamba import MambaMixer

from models.int8 import products

PATH = "its state space is scanned place by place in PyTorch, without a fused kernel"
"""The caution beside the results of every recommender that uses this scan."""


BLOCK = 1 << 17
"""Numbers of state that a CPU takes through all places before it turns to the next users."""


@dataclass(frozen=True)
class State:
    """All that is known of the places read so far.

    Attributes:
        window: What the convolution reads again, [B, E, K - 1].
        space: The state space, [B, N, E].

    """

    window: Tensor
    space: Tensor


class StateSpace(nn.Module):
    """One Mamba layer, from [B, S, D] to [B, S, D]; `forward` is for training, `read` for serving.

    Args:
        width: D.
        state: N.
        kernel: K.

    """

    def __init__(self, width: int, *, state: int, kernel: int = 4) -> None:
        super().__init__()
        self.sizes = MambaConfig(
            hidden_size=width, state_size=state, conv_kernel=kernel, expand=2, num_hidden_layers=1, vocab_size=1
        )
        self.mixer: Any = MambaMixer(self.sizes, 0)

    def initialise(self) -> None:
        """Draw weights as Mamba's own code does; to be called where a transformers model draws its own."""
        for layer in (self.mixer.in_proj, self.mixer.x_proj, self.mixer.out_proj, self.mixer.conv1d):
            init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
        init.zeros_(self.mixer.conv1d.bias)
        self.mixer.init_mamba_weights()

    def forward(self, states: Tensor) -> Tensor:
        """Return the outputs of all places, [B, S, D]; padding may stand on the right only."""
        inner, gate = self.mixer.in_proj(states).chunk(2, dim=-1)  # [B, S, E]
        inner, _ = self._convolved(inner, None)
        sizes = [self.sizes.time_step_rank, self.sizes.state_size, self.sizes.state_size]
        rank, into, out_of = self.mixer.x_proj(inner).split(sizes, dim=-1)
        steps = functional.softplus(exact(self.mixer.dt_proj(rank)))
        with torch.autocast(states.device.type, enabled=False):
            inner = exact(inner)
            scanned: Tensor = _Scan.apply(steps, steps * inner, self._decay, exact(into), exact(out_of))
            scanned = (scanned + inner * exact(self.mixer.D)) * functional.silu(exact(gate))
        output: Tensor = self.mixer.out_proj(scanned.to(gate.dtype))
        return output

    def read(self, states: Tensor, last: Tensor, before: State | None = None) -> tuple[Tensor, State]:
        """Return the output at one place a row, [B, D], and the state after it, without a gradient.

        Args:
            states: Padded on the right, [B, S, D].
            last: The place of each row, int64 [B]; what stands behind it is not read.
            before: The state after earlier places; None where these are the first.

        """
        width, rank = self.sizes.intermediate_size, int(self.sizes.time_step_rank)
        rows = torch.arange(len(states), device=states.device)
        into_inner, into_gate = (self.mixer.in_proj.weight[part] for part in (slice(width), slice(width, None)))
        inner, seen = self._convolved(products(states, into_inner), before)  # [B, S, E], [B, E, K - 1 + S]
        head = rank + self.sizes.state_size
        projected = products(inner, self.mixer.x_proj.weight[:head])
        steps = functional.softplus(exact(self.mixer.dt_proj(projected[..., :rank])))
        steps = steps * (torch.arange(states.shape[1], device=states.device) <= last[:, None])[..., None]
        space = None if before is None else before.space
        space = _last_state(steps, steps * exact(inner), self._decay, exact(projected[..., rank:]), space)
        newest = inner[rows, last]  # [B, E]
        out_of = exact(products(newest, self.mixer.x_proj.weight[head:]))
        output = (out_of[:, None] @ space)[:, 0] + exact(newest) * exact(self.mixer.D)
        output = output.to(states.dtype) * functional.silu(products(states[rows, last], into_gate))
        kept = torch.arange(1, self.sizes.conv_kernel, device=states.device) + last[:, None]  # [B, K - 1]
        window = seen.gather(2, kept[:, None].expand(-1, width, -1))
        return self.mixer.out_proj(output), State(window, space)

    def nothing(self, users: int, like: Tensor) -> State:
        """Return the state before the first place, of the dtype and on the device of `like`."""
        width = self.sizes.intermediate_size
        window = like.new_zeros(users, width, self.sizes.conv_kernel - 1)
        return State(window, exact(like.new_zeros(users, self.sizes.state_size, width)))

    @property
    def _decay(self) -> Tensor:
        return -torch.exp(exact(self.mixer.A_log)).T.contiguous()  # [N, E]

    def _convolved(self, inner: Tensor, before: State | None) -> tuple[Tensor, Tensor]:
        """Convolve [B, S, E] over the last K places; return it, and what was read: [B, E, K - 1 + S]."""
        columns, context = inner.transpose(1, 2), self.sizes.conv_kernel - 1
        seen = functional.pad(columns, (context, 0)) if before is None else torch.cat([before.window, columns], 2)
        convolution = self.mixer.conv1d
        mixed = functional.conv1d(seen, convolution.weight, convolution.bias, groups=seen.shape[1])
        return functional.silu(mixed).transpose(1, 2), seen


def exact(values: Tensor) -> Tensor:
    """Return values in float32 at least: a state of fewer digits would lose what is old."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _blocks(users: int, numbers: int, device: torch.device) -> list[slice]:
    """Cut users into blocks whose states, of so many numbers each, stay in a CPU's cache; a GPU takes all at once."""
    size = max(1, BLOCK // numbers) if device.type == "cpu" else max(1, users)
    return [slice(start, min(start + size, users)) for start in range(0, users, size)]


def _last_state(steps: Tensor, added: Tensor, decay: Tensor, into: Tensor, before: Tensor | None) -> Tensor:
    """Return the state after all places, [B, N, E]; the arguments are those of `_Scan`. A step of 0 changes nothing."""
    states = steps.new_zeros(len(steps), *decay.shape) if before is None else before.clone()
    for rows in _blocks(len(steps), decay.numel(), steps.device):
        state, given = states[rows], (steps[rows], added[rows], into[rows])
        for step, value, weight in zip(*(part.unbind(1) for part in given), strict=True):
            state.mul_((step[:, None] * decay).exp_()).addcmul_(weight[..., None], value[:, None])
    return states


class _Scan(torch.autograd.Function):
    """``h = exp(step * decay) * h + into * added``, place by place; returns ``out_of . h`` of each, [B, S, E].

    Arguments: steps and what is added [B, S, E], decay [N, E], into and out of the state [B, S, N]. The state is kept
    as [B, N, E], where all products run along what is contiguous.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, added: Tensor, decay: Tensor, into: Tensor, out_of: Tensor) -> Tensor:
        users, places, _ = steps.shape
        states = steps.new_empty(places + 1, users, *decay.shape)
        states[0] = 0
        output = torch.empty_like(steps)
        for rows in _blocks(users, decay.numel(), steps.device):
            for place in range(places):
                state = torch.mul(steps[rows, place, None], decay, out=states[place + 1, rows])
                state.exp_().mul_(states[place, rows]).addcmul_(into[rows, place, :, None], added[rows, place, None])
                output[rows, place] = torch.bmm(out_of[rows, place, None], state)[:, 0]
        ctx.save_for_backward(steps, added, decay, into, out_of, states)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        steps, added, decay, into, out_of, states = ctx.saved_tensors
        to_steps, to_added, to_decay, to_into, to_out_of = map(torch.zeros_like, ctx.saved_tensors[:5])
        for rows in _blocks(len(steps), decay.numel(), steps.device):
            to_state, decayed = torch.zeros_like(states[0, rows]), torch.empty_like(states[0, rows])
            for place in reversed(range(steps.shape[1])):
                wanted = upstream[rows, place]  # [b, E]
                to_out_of[rows, place] = torch.bmm(states[place + 1, rows], wanted[..., None])[..., 0]
                to_state.addcmul_(out_of[rows, place, :, None], wanted[:, None])
                to_into[rows, place] = torch.bmm(to_state, added[rows, place, :, None])[..., 0]
                to_added[rows, place] = torch.bmm(into[rows, place, None], to_state)[:, 0]
                to_state.mul_(torch.mul(steps[rows, place, None], decay, out=decayed).exp_())
                torch.mul(to_state, states[place, rows], out=decayed)
                to_decay += (decayed * steps[rows, place, None]).sum(0)
                to_steps[rows, place] = decayed.mul_(decay).sum(1)
        return to_steps, to_added, to_decay, to_into, to_out_of

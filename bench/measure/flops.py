"""Floating-point operations of a request, by phase, beam search included, and three opinions on one forward pass.

Convention: 1 multiply-accumulate = 2 operations; matrix-like operators only; causal attention is
not halved. The authority is torch's `FlopCounterMode` with the formulas that its registry lacks
(`bench.measure.formulas`). The second opinion is fvcore (`bench.measure.fvcore_count`), the third the
recommender's own closed formula (`models.forward_costs`); both are of one forward pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.measure.formulas import MENDED, has_formula
from bench.measure.fvcore_count import fvcore_flops
from bench.measure.instrument import Instrument, Request
from bench.measure.operators import PROFILER
from bench.measure.subject import Subject
from bench.measure.traffic import Traffic, TrafficLedger, move
from bench.records.cost import Flops
from bench.records.model import Unavailable
from models.phases import PHASE


@dataclass(frozen=True)
class Counted:
    """What one request asked of the machine, the same at every run.

    Attributes:
        total: FLOPs, all of them.
        phases: FLOPs by phase, in the order in which phases first ran; what ran outside any is left out.
        uncounted: Operators with floating-point outputs and no formula, and how often they ran. Views, elementwise
            operators and those that only put values elsewhere have the formula zero.
        operators: How many operators were dispatched.
        traffic: Bytes that they moved.
        phase_traffic: Likewise by phase.

    """

    total: int
    phases: dict[str, int]
    uncounted: dict[str, int]
    operators: int
    traffic: Traffic
    phase_traffic: dict[str, Traffic]


class _Watcher(TorchDispatchMode):
    """Reads the counter whenever a phase begins or ends, and notes every operator."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self._counter = counter
        self._open: list[tuple[str, int]] = []
        self.phases: dict[str, int] = {}
        self.uncounted: Counter[str] = Counter()
        self.operators = 0
        self.ledger = TrafficLedger()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs = str(func), kwargs or {}
        if name.startswith(PROFILER):
            self._mark(name, args)
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        self.operators += 1
        under_way = {label.removeprefix(PHASE) for label, _ in self._open if label.startswith(PHASE)}
        self.ledger.note(move(func, args, kwargs, result), (args, kwargs), result, under_way)
        if not has_formula(func) and _is_float(result):
            self.uncounted[name] += 1
        return result

    def _mark(self, name: str, args: tuple[Any, ...]) -> None:
        """Note where a phase begins, and add up what was counted where it ends."""
        if "_enter" in name:
            label = str(args[0])
            self._open.append((label, self._counter.get_total_flops()))
            if label.startswith(PHASE):
                self.phases.setdefault(label.removeprefix(PHASE), 0)
        elif self._open:
            label, before = self._open.pop()
            if label.startswith(PHASE):
                self.phases[label.removeprefix(PHASE)] += self._counter.get_total_flops() - before


class _Apart(TorchDispatchMode):
    """Runs operators one by one, as they run when they are counted, and notes nothing."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def _is_float(result: Any) -> bool:
    first = result[0] if isinstance(result, (tuple, list)) and result else result
    return isinstance(first, torch.Tensor) and (first.is_floating_point() or first.is_complex()) and first.numel() > 0


def count(call: Callable[[], Any]) -> Counted:
    """Count the operations of one call; it runs many times slower than it otherwise would."""
    counter = FlopCounterMode(display=False, custom_mapping=MENDED)
    watcher = _Watcher(counter)
    # Not inference_mode: there, composite operators would reach the watcher undecomposed.
    with torch.no_grad(), counter, watcher:
        call()
    return Counted(
        total=counter.get_total_flops(),
        phases=watcher.phases,
        uncounted=dict(sorted(watcher.uncounted.items())),
        operators=watcher.operators,
        traffic=watcher.ledger.traffic(),
        phase_traffic={name: watcher.ledger.traffic(name) for name in watcher.phases},
    )


def count_request(subject: Subject) -> Counted:
    """Count one whole request of a subject, after one user's that brings along what is made at the first only."""
    recommender = subject.recommender
    with torch.no_grad(), _Apart():
        recommender.recommend(recommender.prepare(subject.batches[0][:1]).to(subject.device), subject.k)
    return count(lambda: recommender.recommend(subject.inputs(0), subject.k))


def opinions(subject: Subject, counted: Counted) -> Flops:
    """Put what was counted of one request beside all opinions on one forward pass, per user."""
    users = subject.batch_size
    forward, second = _second_opinion(subject)
    closed = subject.recommender.forward_flops(subject.inputs(0))
    unknown = Unavailable(unavailable="the recommender gives no closed formula for its forward pass")
    return Flops(
        per_user=counted.total / users,
        forward_per_user=None if forward is None else forward / users,
        fvcore_per_user=second if isinstance(second, Unavailable) else second / users,
        closed_form_per_user=unknown if closed is None else closed / users,
        operators=counted.operators,
        uncounted=counted.uncounted,
    )


def _second_opinion(subject: Subject) -> tuple[int | None, float | Unavailable]:
    """Count one forward pass with both counters: ours, and twice fvcore's multiply-accumulates."""
    forward = None
    try:
        module, tensors = subject.recommender.forward_pass(subject.inputs(0))
        forward = count(lambda: module(*tensors)).total
        return forward, fvcore_flops(module, tensors)
    except Exception as error:  # noqa: BLE001 - whatever tracing stumbles over, the first opinion stands
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return forward, Unavailable(unavailable=f"fvcore cannot trace this forward pass: {reason}")


def counted(request: Request) -> Counted:
    """Count a request once for all instruments that need it."""
    return request.once(_counted)


def _counted(request: Request) -> Counted:
    return count_request(request.subject)


def uncounted(subject: Subject) -> Unavailable | None:
    """Say why a request cannot be counted; None where it can."""
    built = subject.recommender.built
    if built is None or built.ranker.is_counted:
        return None
    return Unavailable(unavailable=f"{built.ranker.name} ranks outside of torch, which counts none of it")


class FlopCounter(Instrument):
    """Counts floating-point operations, with three opinions on one forward pass."""

    name = "flops"

    def measure(self, request: Request) -> Flops | Unavailable:
        """Count the whole request, then one forward pass of it."""
        if (why := uncounted(request.subject)) is not None:
            return why
        return opinions(request.subject, counted(request))

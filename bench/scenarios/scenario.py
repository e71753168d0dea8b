"""What a scenario is: it decides when requests are sent, and times them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch

from bench.measure.clock import Clock
from bench.measure.latency import Samples, TimingPlan
from bench.measure.outcome import Failure, Step, unwatched
from bench.measure.subject import Subject
from bench.records.load import Offered


class Scenario(ABC):
    """One way in which requests arrive.

    Attributes:
        name: Value of a case's field `scenario`.

    """

    name: ClassVar[str]

    def offered(self, asked: Offered, device: torch.device) -> Offered | None:
        """Return what is asked of a service, as cases say it; None where this scenario knows none.

        Args:
            asked: What the suite asks for.
            device: Where it computes.

        Raises:
            UserError: This scenario lacks something.

        """
        del asked, device
        return None

    @abstractmethod
    def time(
        self,
        subjects: Sequence[Subject],
        plan: TimingPlan,
        clock: Clock,
        progress: Callable[[str], None] = lambda _: None,
        *,
        step: Step = unwatched,
        caught: type[BaseException] = Exception,
    ) -> dict[str, Samples | Failure]:
        """Time the requests of cases that are compared.

        Args:
            subjects: Warm; one a case.
            plan: How many rounds each gets.
            clock: Clock of the device.
            progress: Told what goes on.
            step: Told before the code of a recommender runs.
            caught: What a recommender may raise without ending the run.

        Returns:
            What was timed of each case, by its name, or how it failed.

        """

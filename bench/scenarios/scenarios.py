"""All scenarios by name."""

from __future__ import annotations

from bench.scenarios.closed import Closed
from bench.scenarios.returning import Returning
from bench.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (Closed(), Returning())}

"""All scenarios by name."""

from __future__ import annotations

from bench.scenarios.closed import Closed
from bench.scenarios.offline import Offline
from bench.scenarios.open import Open
from bench.scenarios.returning import Returning
from bench.scenarios.scenario import Scenario
from bench.scenarios.trace import Trace

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (Closed(), Returning(), Offline(), Open(), Trace())
}

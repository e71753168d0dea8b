"""All rankers, in the order of the ladder; the first is the default."""

from __future__ import annotations

from models.named import by_name
from models.ranking.exact import EXACT
from models.ranking.fused import FUSED
from models.ranking.int8_rescored import INT8_RESCORED
from models.ranking.nearest import HNSW_RANKER, IVF_RANKER

RANKERS = by_name(EXACT, FUSED, INT8_RESCORED, IVF_RANKER, HNSW_RANKER)

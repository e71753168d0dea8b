"""TIGER: the codes of the history's items in, the next item's codes out.

After Rajput et al. 2023 (arXiv 2305.05065): a T5 from scratch, items as semantic IDs of 3 x 256 codes and
one that tells apart what collides. `preset` ``tiger`` has the size of its public re-implementations, 4 + 4
layers of width 128; ``compact`` has half the layers, for CPUs. On a decoder alone (``llama-256`` or any
other Llama) it has the shape of LC-Rec, prompt and target in one sequence; ``targets=all`` then learns
every item of a history in one pass. IDs have equal length, so no end of sequence is written.

Differences: unless a text encoder is named, codes quantise weighted words (see
`baselines.item_ids.semantic`); hashed user tokens are left out unless `user_tokens` asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from baselines.generative import writes_codes
from baselines.generative.writes_codes import CodesConfig, WritesCodes, check_targets
from baselines.item_ids import semantic
from baselines.item_ids.quantisation import Quantiser
from baselines.item_ids.semantic import CodeScheme, item_codes
from models import recommender
from models.catalogue import Catalogue, History
from models.spoken import Spoken


class Settings(semantic.Settings, writes_codes.Settings):
    """Settings of TIGER; `preset` is ``compact``, ``tiger``, another preset, a local directory or a hub name."""


class TigerConfig(CodesConfig):
    """What a TIGER is made of."""

    model_type = "tiger"


class Tiger(WritesCodes):
    """See the module's docstring."""

    settings_type = Settings
    spoken = Spoken("TIGER", {"TIGER, all targets": {"targets": "all"}, "TIGER, random codes": {"codes": "random"}})
    config_class = TigerConfig
    settings: Settings

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Code the items and make seeded random weights, or pretrained ones where `preset` names some.

        Raises:
            UserError: `preset` or `text_encoder` cannot be loaded, too many items have the same codes, or an
                encoder is to learn all targets at once.

        """
        del histories
        assert isinstance(settings, Settings)
        check_targets(settings)
        return cls.with_codes(catalogue, settings, item_codes(catalogue, settings), settings.codebook_size)

    @classmethod
    def code_schemes(cls, catalogue: Catalogue, settings: recommender.Settings) -> dict[str, list[tuple[int, ...]]]:
        """Code items by each quantiser, at random, and as given; see `models.identified.CodesItems`."""
        assert isinstance(settings, Settings)
        ways: list[dict[str, Any]] = [{"quantiser": quantiser} for quantiser in Quantiser]
        ways.append({"codes": CodeScheme.RANDOM})
        if catalogue.codes is not None and all(catalogue.codes):
            ways.append({"codes": CodeScheme.GIVEN})
        return {
            str(*way.values()): list(map(tuple, item_codes(catalogue, settings.model_copy(update=way)).tolist()))
            for way in ways
        }

"""Semantic Convergence: items as four codes of aligned collaborative vectors; lists by beams, or looked up.

After the description in "Semantic Convergence: Harmonizing Recommender Systems via Two-Stage Alignment and Behavioral
Semantic Tokenization" (AAAI 2025, arXiv 2412.13771); no code was published, and no result here reproduces it.

Before the loop a SASRec gives item vectors, which are aligned with the items' texts: beside each vector stands what
ridge regression predicts from it of the text's vector. Residual quantisation turns both into three codes of 256, and a
fourth tells apart what shares them. A decoder alone then learns every item of a history code by code.

Two ways of serving, both from the same weights. Any decoder of `baselines.decoding` searches at the request, four
steps over a trie. `looked-up` serves lists that were made before: `index` searches for all users of training,
`remember` for those who have done something since, and a request looks one row up and takes away what was seen. Such
a list knows nothing of what its user did later (`list_ages`), and a refresh costs one search a user.

Assumed, since the paper could be read in part only: size of the backbone and of the codebooks, the form of the
alignment, 20 beams, removal of seen items, and popular items for users without a list. Its tasks on texts and queries
and its negative samples are left out: a compact backbone has no words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchFeature

from baselines.decoding.search import DECODERS, search
from baselines.generative import writes_codes
from baselines.generative.every_item import Targets
from baselines.generative.known_users import KnownUsers
from baselines.generative.writes_codes import CodesConfig, WritesCodes, check_targets
from baselines.item_ids.quantisation import Codes, Quantiser, quantise
from baselines.item_ids.semantic import random_codes, told_apart
from baselines.item_ids.text_vectors import Vectors, encoder_vectors, word_vectors
from baselines.one_pass import pretraining
from baselines.one_pass.pretraining import collaborative_vectors
from baselines.one_pass.sasrec import SIZES
from models import recommender
from models.catalogue import Catalogue, History
from models.decoder import Decoder
from models.errors import UserError
from models.padding import PADDING
from models.phases import phase
from models.ragged import pad
from models.recommender import Recommender
from models.serving import Recommendations, SeenItems
from models.spoken import Spoken

LOOKED_UP = Decoder(name="looked-up", kind="lists made offline")

LLMS = {"compact": "compact-llama", "t5-small": "llama-small", "t5-base": "llama-small"}
"""Which backbone goes with a preset; the preset itself where nothing is said."""

REFRESHED = 64
"""Users whose lists are made at a time."""

UNPUBLISHED = "after the paper's description: no code was published"


class Settings(writes_codes.Settings, pretraining.Settings):
    """Settings of Semantic Convergence; pretraining is that of the SASRec that gives item vectors.

    Attributes:
        quantiser: How codes are found.
        codebooks: Levels before the last, which tells apart what shares the others.
        codebook_size: Codes of each level, the last included.
        alignment: Weight of what vectors tell of the texts, beside the vectors; 0 takes the vectors alone.
        text_encoder: A local directory, hub name or preset of a text encoder; None takes words weighted by TF-IDF.
        pretrain_length: Most items that the SASRec reads.
        pretrain_dropout: Dropout of that SASRec.

    """

    targets: Targets = Targets.ALL
    quantiser: Quantiser = Quantiser.RQ_VAE
    codebooks: int = Field(default=3, ge=1, le=8)
    codebook_size: int = Field(default=256, ge=2, le=65536)
    alignment: float = Field(default=0.5, ge=0, le=1000)
    text_encoder: str | None = None
    pretrain_length: int = Field(default=50, ge=1, le=100_000)
    pretrain_dropout: float = Field(default=0.2, ge=0, lt=1)

    @property
    def backbone_name(self) -> str:
        """The preset, local directory or hub name of the decoder."""
        return LLMS.get(self.preset, self.preset)


class SemanticConvergenceConfig(CodesConfig):
    """What a Semantic Convergence is made of."""

    model_type = "semantic-convergence"


class SemanticConvergence(WritesCodes):
    """See the module's docstring. Shapes: B users, n items, T codes, W places of a list made offline.

    Attributes:
        codes: Codes of items 1..n, int64 [n, T], among the weights: an interrupted training goes on from them.
        known: Training histories, whose users have lists.
        catalogue: What `pretrain` reads texts of; None where weights were loaded.
        lists: Items int32 [users, W], row 0 for users without a list of their own; None unless they are looked up.
        list_scores: float32 [users, W].

    """

    settings_type = Settings
    spoken = Spoken("Semantic Convergence")
    config_class = SemanticConvergenceConfig
    settings: Settings
    decoders: ClassVar[Mapping[str, Decoder]] = {**DECODERS, LOOKED_UP.name: LOOKED_UP}
    codes: Tensor
    known: KnownUsers
    catalogue: Catalogue | None = None
    lists: Tensor | None
    list_scores: Tensor | None

    def __init__(self, config: CodesConfig) -> None:
        super().__init__(config)
        self.register_buffer("codes", torch.zeros(config.items, config.levels, dtype=torch.int64))
        for name in ("lists", "list_scores"):  # made by `index`, never saved
            self.register_buffer(name, None, persistent=False)
        self.register_load_state_dict_post_hook(_take_loaded)

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights and, until it is trained, random codes.

        Raises:
            UserError: The backbone cannot be loaded or is no decoder alone, or codes are too few.

        """
        assert isinstance(settings, Settings)
        check_targets(settings)
        size, levels = settings.codebook_size, settings.codebooks + 1
        if len(catalogue) > size**levels:
            raise UserError(
                f"{levels} codes below {size} tell {size**levels:,} items apart and {catalogue.name} has "
                f"{len(catalogue):,}: raise codebook_size or codebooks"
            )
        codes = random_codes(len(catalogue), levels, size, settings.seed)
        model = cls.with_codes(catalogue, settings, codes, size)
        model.codes.copy_(torch.from_numpy(codes))
        model.known = KnownUsers.of(histories)
        model.catalogue = catalogue
        return model

    @property
    def labels(self) -> tuple[str, ...]:
        """Say what it was built from."""
        return (UNPUBLISHED,)

    def pretrain(self, histories: Sequence[History]) -> None:
        """Learn item vectors, align them with the texts, and code the items by both.

        Raises:
            UserError: More items share their codes than the last level tells apart, or `text_encoder` cannot be loaded.

        """
        assert self.catalogue is not None, "a loaded recommender is trained already"
        settings, items = self.settings, self.config.items
        vectors = collaborative_vectors(
            items,
            histories,
            settings,
            size=SIZES["compact"],
            places=settings.pretrain_length,
            dropout=settings.pretrain_dropout,
            device=self.device,
        )
        behaviour = vectors[1:].float().cpu().numpy()
        with torch.random.fork_rng(), torch.autocast(self.device.type, enabled=False):
            torch.manual_seed(settings.seed)
            joined = aligned(behaviour, _text_vectors(self.catalogue, settings), settings.alignment)
            codes = quantise(joined, settings.quantiser, levels=settings.codebooks, size=settings.codebook_size)
        codes = told_apart(codes, settings.codebook_size, self.catalogue.name, "codebooks")
        self.codes.copy_(torch.from_numpy(codes))
        self.take(codes)

    def index(self, catalogue: Catalogue) -> None:
        """Build the trie over the IDs; where lists are looked up, make those of all users of training.

        Raises:
            UserError: See `Generative.index`.

        """
        super().index(catalogue)
        self.lists = self.list_scores = None
        if self._looks_up:
            self._start_lists(len(catalogue))
            self.remember(self.known.histories)

    @property
    def _looks_up(self) -> bool:
        return self._decoder.name == LOOKED_UP.name

    def _start_lists(self, items: int) -> None:
        """Make room for all users, and a list of popular items for those without one."""
        places = min(self._width, items)
        counts = torch.zeros(items + 1, dtype=torch.float64)
        counts += torch.bincount(self.known.items, minlength=items + 1)
        counts[PADDING] = -1
        best = counts.topk(places)
        rows = len(self.known.histories) + 1
        self.lists = torch.zeros(rows, places, dtype=torch.int32, device=self.device)
        self.list_scores = torch.full((rows, places), -torch.inf, device=self.device)
        self.lists[0] = best.indices
        self.list_scores[0] = (best.values + 1).log()
        self._rows: dict[int, int] = {}
        self._read: dict[int, int] = {}

    @torch.no_grad()
    def remember(self, histories: Sequence[History]) -> None:
        """Make the lists of users anew, from their histories as they are now; else as `WritesCodes.remember` does."""
        if not self._looks_up:
            super().remember(histories)
            return
        assert self.lists is not None
        assert self.list_scores is not None
        for start in range(0, len(histories), REFRESHED):
            some = histories[start : start + REFRESHED]
            recommended = self._searched(super().prepare(some).to(self.device))
            rows = torch.tensor([self._row(history.user) for history in some], device=self.device)
            self.lists[rows] = recommended.items.to(self.lists.dtype)
            self.list_scores[rows] = recommended.scores
            self._read |= {history.user: len(history.items) for history in some}

    def _searched(self, inputs: BatchFeature) -> Recommendations:
        """Search at once, by the default decoder, for lists as long as those that are kept."""
        assert self._trie is not None
        assert self.lists is not None
        seen, width = inputs.get("seen_items"), self._width
        name = next(iter(DECODERS))
        beams = search(
            name,
            self.generator,
            self.prompt(inputs),
            self._trie,
            width=width,
            scores=self.serving.scores,
            seen_items=seen,
        )
        return beams.top(self.lists.shape[1])

    def _row(self, user: int) -> int:
        """Return a user's row, a new one where there is none yet."""
        assert self.lists is not None
        assert self.list_scores is not None
        row = self._rows.setdefault(user, len(self._rows) + 1)
        if row == len(self.lists):  # somebody who was not there in training
            self.lists = functional.pad(self.lists, (0, 0, 0, row))
            self.list_scores = functional.pad(self.list_scores, (0, 0, 0, row), value=-torch.inf)
        return row

    def list_ages(self, histories: Sequence[History]) -> list[int] | None:
        """Return how many items users took since their list was made; a user without one took them all since."""
        if not self._looks_up:
            return None
        return [max(0, len(history.items) - self._read.get(history.user, 0)) for history in histories]

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the trie and of the lists."""
        kept = [part.nbytes for part in (self.lists, self.list_scores) if part is not None]
        return super().index_parts | ({"lists": sum(kept)} if kept else {})

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Write the prompts; where lists are looked up, only ``row`` int64 [B] and ``seen_items`` int64 [B, H]."""
        if not self._looks_up:
            return super().prepare(histories)
        keep = self.serving.seen is SeenItems.KEEP
        rows = torch.tensor([self._rows.get(history.user, 0) for history in histories])
        return BatchFeature({"row": rows, "seen_items": pad([() if keep else history.items for history in histories])})

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Search the trie, or look lists up and take away what was seen since they were made.

        A list that was made offline holds as many items as there were beams, less those that were seen since.
        """
        if not self._looks_up:
            return super().recommend(inputs, k)
        assert self.lists is not None, "index the catalogue first"
        assert self.list_scores is not None
        with phase("look up"):
            items, scores = self.lists[inputs["row"]].long(), self.list_scores[inputs["row"]]  # [B, W]
            seen = (items[:, :, None] == inputs["seen_items"][:, None, :]).any(-1)
            scores, places = scores.masked_fill(seen, -torch.inf).sort(dim=1, descending=True, stable=True)
            items = items.gather(1, places).masked_fill(scores == -torch.inf, PADDING)[:, :k]
            missing = k - items.shape[1]
            return Recommendations(
                functional.pad(items, (0, missing), value=PADDING),
                functional.pad(scores[:, :k].float(), (0, missing), value=-torch.inf),
            )

    def cache_bytes(self, inputs: BatchFeature) -> int:
        """Return what a search holds at its end; 0 where lists are looked up."""
        return 0 if self._looks_up else super().cache_bytes(inputs)

    def forward_pass(self, inputs: BatchFeature) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """Return the choice of the first token; where lists are looked up, the whole request."""
        return Recommender.forward_pass(self, inputs) if self._looks_up else super().forward_pass(inputs)

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the prompt's pass and the first token's logits; 0 where lists are looked up."""
        return 0 if self._looks_up else super().forward_flops(inputs)

    def save_assets(self, folder: Path) -> None:
        """Save the item IDs, and the histories of which lists are made offline."""
        super().save_assets(folder)
        self.known.save(folder)

    def load_assets(self, folder: Path) -> None:
        """Load both.

        Raises:
            UserError: They are missing or damaged.

        """
        super().load_assets(folder)
        self.known = KnownUsers.load(folder, self.config.items)


def aligned(behaviour: Vectors, texts: Vectors, weight: float) -> Vectors:
    """Put beside vectors of behaviour what they tell of the texts' vectors, by ridge regression.

    Both are centred and scaled as a whole. So directions of behaviour that agree with the texts count more.

    Args:
        behaviour: [n, D].
        texts: [n, d].
        weight: Weight of the part that tells of the texts.

    Returns:
        float32 [n, D + d]; [n, D] where the weight is 0.

    """
    scaled = _scaled(behaviour)
    if weight == 0:
        return scaled
    told = Ridge(alpha=1.0).fit(scaled, _scaled(texts)).predict(scaled)
    return np.concatenate([scaled, weight * _scaled(told)], 1).astype(np.float32)


def _scaled(vectors: Vectors) -> Vectors:
    centred = vectors - vectors.mean(0)
    scaled: Vectors = (centred / max(float(centred.std()), 1e-6)).astype(np.float32)
    return scaled


def _text_vectors(catalogue: Catalogue, settings: Settings) -> Vectors:
    texts = [item.text for item in catalogue.items]
    if settings.text_encoder is None:
        return word_vectors(texts, settings.seed)
    return encoder_vectors(texts, settings.text_encoder)


def _take_loaded(model: Any, *_: Any) -> None:
    """Write items by the codes that were loaded with the weights."""
    codes: Codes = model.codes.cpu().numpy()
    model.take(codes)

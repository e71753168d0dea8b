"""SETRec: a set of queries is answered in one pass, and each item scored by how its set of vectors fits the answers.

Lin et al. 2025 (arXiv 2502.10833, SIGIR'25), built from the description and from what the public code does
(github.com/Linxyhaha/SETRec at 50109bd)::

    SASRec ─▶ item vectors ─▶ projection ──┐
    text vectors ─▶ autoencoder ─▶ n parts ┴▶ t = 1 + n vectors an item         `index`
    history of such sets ─▶ backbone, t learned queries ─▶ t answers, one pass  `recommend`
    score of an item: the sum over q of w_q <answer q, vector q of the item>, w = (1 - beta, beta, ..., beta)

The sum is one product: answers times weights, one behind the other, with the items' vectors, one behind the other. The
vectors of an item share a position and do not see each other, and neither do queries. `preset` ``compact`` and the
T5s encode the history and answer with the decoder; a Llama or its kin reads the queries behind the history, and learns
every item of it in one pass.

Differences: the code chooses beta by Recall on the test targets; here it is chosen on validation, after training. Its
instruction, the same few tokens for all, is left out. Text vectors are weighted words unless `text_encoder` names an
encoder, SASRec's item vectors are trained before, and answers are divided by the square root of their width, as T5
does where embeddings are its head. Backbones are trained whole and not by LoRA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import BatchFeature, PretrainedConfig
from transformers import initialization as init
from transformers.utils.generic import ModelOutput

from baselines.item_ids.text_vectors import encoder_vectors, word_vectors
from baselines.one_pass import pretraining
from baselines.one_pass.pretraining import collaborative_vectors
from baselines.one_pass.sasrec import SIZES
from baselines.one_pass.setrec.item_sets import ItemSets
from baselines.one_pass.setrec.readers import CausalReader, can_read, reader_of
from models import forward_costs
from models import recommender as base
from models.backbones import backbone_config, is_preset, pretrained_backbone
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.int8 import Int8Linear, Int8Rows
from models.item_vectors import as_config
from models.losses import catalogue_cross_entropy
from models.padding import PADDING
from models.ranking.inner_product import InnerProduct
from models.sequences import Prefixes, Windows, collate_windows, request_batch
from models.spoken import Spoken
from models.trainable import Examples, TrainableRecommender

HIDDEN = {"compact": (128,), "compact-causal": (128,)}
"""Widths of the autoencoder's layers by preset; all other presets have the published ones."""

PUBLISHED = (512, 256, 128)

COLLABORATIVE = SIZES["compact"]
"""Size of the SASRec whose item vectors are read: 64 wide, as in the code."""

BETAS = tuple(tenth / 10 for tenth in range(11))
"""Weights of the semantic scores that are tried on validation."""


class Settings(pretraining.Settings):
    """Settings of SETRec; `preset` is a T5, a Llama or its kin: a preset, a local directory or a hub name.

    Attributes:
        semantic: Vectors of an item's text, n.
        beta: Weight of each semantic score while training ranks validation users, 1 - beta that of the collaborative
            one. Once it has ended, the best of eleven is kept.
        alpha: Weight of the autoencoder's error beside the cross-entropy.
        text_encoder: A local directory or hub name of a text encoder, or ``minilm``; None takes words weighted by
            TF-IDF.
        max_length: Most items read of a history.
        dropout: On the sets that are read.

    """

    semantic: int = Field(default=4, ge=1, le=64)
    beta: float = Field(default=0.5, ge=0, le=1)
    alpha: float = Field(default=0.7, ge=0, le=100)
    text_encoder: str | None = None
    max_length: int = Field(default=50, ge=1, le=10_000)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class SetRecConfig(PretrainedConfig):
    """What a SETRec is made of.

    Attributes:
        items: Size n of the catalogue.
        settings: The `Settings` it was built with.
        backbone: Configuration of the backbone.
        text: Width of the text vectors.

    """

    model_type = "setrec"

    def __init__(
        self,
        items: int = 1,
        settings: dict[str, Any] | None = None,
        backbone: dict[str, Any] | None = None,
        text: int = 1,
        **kwargs: Any,
    ) -> None:
        self.items = items
        self.settings = settings or {}
        self.backbone = backbone or {"model_type": "t5"}
        self.text = text
        super().__init__(**kwargs)


class SetRec(InnerProduct, TrainableRecommender):
    """See the module's docstring. Shapes: B users, S items, t vectors an item, D width, n items.

    Attributes:
        vectors: The sets of all items, [n + 1, t, D]; made by `index`.
        rounded: The same as rows [n + 1, t * D] in int8, for ranking; None in float.

    """

    settings_type = Settings
    spoken = Spoken("SETRec")
    config_class = SetRecConfig
    config: SetRecConfig
    vectors: Tensor | None
    weights: Tensor
    rounded: Int8Linear | None
    _rounds = False

    def __init__(self, config: SetRecConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        backbone = as_config(config.backbone)
        width = backbone.hidden_size
        self.reader = reader_of(backbone)
        self.sets = ItemSets(
            config.items,
            width,
            collaborative=COLLABORATIVE["width"],
            text=config.text,
            hidden=HIDDEN.get(self.settings.preset, PUBLISHED),
            semantic=self.settings.semantic,
        )
        self.queries = nn.Parameter(torch.empty(1 + self.settings.semantic, width))
        self.dropout = nn.Dropout(self.settings.dropout)
        self.register_buffer("weights", torch.empty(1 + self.settings.semantic))
        self._weigh(self.settings.beta)
        self.register_buffer("vectors", None, persistent=False)
        self.rounded = None
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: base.Settings) -> Self:
        """Read the items' texts, and make seeded random weights or pretrained ones.

        Raises:
            UserError: `preset` or `text_encoder` cannot be loaded, or the preset is neither a T5 nor a Llama's kin.

        """
        del histories
        assert isinstance(settings, Settings)
        backbone = _backbone_config(settings.preset)
        texts = [item.text for item in catalogue.items]
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            if settings.text_encoder is None:
                read = word_vectors(texts, settings.seed)
            else:
                read = encoder_vectors(texts, settings.text_encoder)
            config = SetRecConfig(
                len(catalogue), settings.model_dump(mode="json"), backbone.to_dict(), text=read.shape[1]
            )
            model = cls(config)
            if not is_preset(settings.preset):
                model.reader.load(pretrained_backbone(settings.preset, model.reader.role).state_dict())
            nn.init.normal_(model.queries, std=0.02)  # as in the code: T5's own first embeddings are far longer
            model.sets.adopt_collaborative(torch.randn_like(model.sets.collaborative))
            model.sets.adopt_texts(torch.from_numpy(read))
        return model

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):  # of the sets alone: backbones start as their families do
            init.normal_(module.weight, std=module.in_features**-0.5)
            init.zeros_(module.bias)

    def pretrain(self, histories: Sequence[History]) -> None:
        """Train the SASRec whose item vectors are read."""
        vectors = collaborative_vectors(
            self.config.items,
            histories,
            self.settings,
            size=COLLABORATIVE,
            places=self.settings.max_length,
            dropout=0.2,
            device=self.device,
        )
        vectors[PADDING] = vectors[1:].mean(0)
        self.sets.adopt_collaborative(vectors)

    def _weigh(self, beta: float) -> None:
        """Say how much each answer counts."""
        self.weights[0], self.weights[1:] = 1 - beta, beta

    def choose_on_validation(self, quality: Callable[[], float]) -> dict[str, float]:
        """Keep the beta that ranks validation users best, the smallest of equal ones."""
        by_beta = {}
        for beta in BETAS:
            self._weigh(beta)
            by_beta[beta] = quality()
        best = max(by_beta, key=by_beta.__getitem__)
        self._weigh(best)
        return {"beta": best}

    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut histories into windows; into prefixes where the backbone sees both ways."""
        length = self.settings.max_length
        return Windows(histories, length) if self.reader.every_place else Prefixes(histories, length)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad on the right: ``input_ids`` and ``labels`` int64 [B, S]."""
        return collate_windows(examples)

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the cross-entropy of each query over all items, averaged, and the autoencoder's error beside it."""
        sets, error = self.sets()
        read, wanted = self.dropout(sets[input_ids]), labels != PADDING
        if isinstance(self.reader, CausalReader):
            answers = self.reader.at_every_place(read, self.queries)[wanted]  # [T, t, D]
        else:
            answers = self.reader(read, input_ids != PADDING, self.queries)
        goals = labels[wanted] - 1
        losses = [
            catalogue_cross_entropy(answers[:, query], sets[1:, query], goals) for query in range(answers.shape[1])
        ]
        return ModelOutput(loss=torch.stack(losses).mean() + self.settings.alpha * error)

    def index(self, catalogue: Catalogue) -> None:
        """Make the sets of all items.

        Raises:
            UserError: The catalogue is not as large as the one trained on.

        """
        if len(catalogue) != self.config.items:
            raise UserError(
                f"setrec has sets of {self.config.items} items and {catalogue.name} has {len(catalogue)}: "
                "train it on this dataset, loaded with the same options"
            )
        self.vectors = self.sets.sets()
        self.rounded = Int8Linear(self.vectors.flatten(1), None) if self._rounds else None
        self.rebuild()

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the sets of all items, as they are read and, in int8, as they are ranked."""
        parts = {} if self.vectors is None else {"item sets": self.vectors.nbytes}
        if self.rounded is not None:
            parts["item sets (int8)"] = self.rounded.values.nbytes + self.rounded.scales.nbytes
        return parts | super().index_parts

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest items on the right."""
        return request_batch(histories, self.settings.max_length, self.serving)

    def most_places(self, name: str) -> int | None:
        """Return the most items that are read."""
        return self.settings.max_length if name == "input_ids" else None

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return the answers to all queries, weighted and side by side, [B, t * D]."""
        return (self.answers(inputs) * self.weights[:, None]).flatten(1)

    def answers(self, inputs: BatchFeature) -> Tensor:
        """Return the answers to the queries, [B, t, D]."""
        assert self.vectors is not None, "index the catalogue first"
        numbers, last = inputs["input_ids"], inputs["last"]
        real = torch.arange(numbers.shape[1], device=numbers.device) <= last[:, None]
        read: Tensor = self.reader(self.vectors[numbers], real, self.queries)
        return read

    @property
    def ranked_rows(self) -> tuple[Tensor | Int8Rows, None]:
        """Return each item's set side by side, [n + 1, t * D], without a bias."""
        assert self.vectors is not None, "index the catalogue first"
        return self.vectors.flatten(1) if self.rounded is None else self.rounded.weight, None

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the backbone and the product with all items' sets."""
        users, places = inputs["input_ids"].shape
        read = self.reader.cost(users, places, len(self.queries))
        return forward_costs.total(read, self.ranking_flops(users))

    def round_weights(self) -> None:
        """Round the sets too, where items are ranked by them; the backbone goes on reading them in float."""
        super().round_weights()
        self._rounds = True


def _backbone_config(name: str) -> PretrainedConfig:
    config = backbone_config(name, pad_token_id=None, bos_token_id=None, eos_token_id=None, vocab_size=1)
    if not can_read(config):
        raise UserError(
            f"setrec needs a T5, or a Llama or its kin, and {name!r} is a {config.model_type}: use compact, t5-small, "
            "compact-causal or llama-small"
        )
    return config

"""PAD: three SASRec-like towers, on item numbers, on aligned vectors and on texts, mixed by each item's popularity.

After "Pre-train, Align, and Disentangle: Empowering Sequential Recommendation with Large Language Models" (SIGIR 2025,
arXiv 2412.04107; Applied-Machine-Learning-Lab/PAD @506c72d). No LLM runs at serving: its item texts are vectors that
were made before. Item i has a vector e(t, i) in each tower t, read by that tower's encoder and scored against its state
u(t)::

    ids      an embedding of the number
    aligned  MLP(join(another such embedding, projected text))
    texts    MLP(projected text)

    score(i) = sum over t of g(t, i) * <u(t), e(t, i)>,  g(t, i) = sigmoid(a(t, bin i)) / their sum over t

Eleven bins hold items by popularity, the most popular first. As e and g are fixed once trained, `index` folds them
into one matrix [n + 1, 3 D], and serving is three small passes and one product.

Trained as published: the tower of ids alone; its copy aligned with the texts, multi-kernel maximum mean discrepancy
(Gretton et al. 2012; Long et al. 2015, arXiv 1502.02791) added to the loss; then all three together.

Differences: text vectors are weighted words or a small encoder's instead of Llama-3's, the loss is cross-entropy over
the catalogue (``loss=bce``, with one negative a place, is the published one), and blocks are GPT-2's, as in
`baselines.one_pass.sasrec`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import BatchFeature, GPT2Config, GPT2Model, PretrainedConfig
from transformers.utils.generic import ModelOutput

from baselines.item_ids.text_vectors import encoder_vectors, word_vectors
from baselines.one_pass import pretraining
from baselines.one_pass.pretraining import fit
from baselines.one_pass.sasrec import SIZES as SASREC_SIZES
from baselines.one_pass.sasrec import Loss, blocks
from models import forward_costs, recommender
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.int8 import Int8Rows
from models.item_scored import check_size
from models.losses import binary_cross_entropy, catalogue_cross_entropy
from models.padding import PADDING
from models.ranking.inner_product import InnerProduct
from models.sequences import Windows, collate_windows, negatives_outside, request_batch
from models.spoken import Spoken
from models.trainable import TrainableRecommender

SIZES = {"pad": {"width": 128, "layers": 5, "heads": 2}} | SASREC_SIZES
"""Presets: those of SASRec, and ``pad``, the published size."""

BINS = 11
IDS, ALIGNED, TEXTS = range(3)
"""The towers, in the order of their parts in the folded matrix."""

KERNELS = tuple(2.0**power for power in range(-3, 2))
"""Widths of the Gaussian kernels, as multiples of the mean squared distance."""

ALIGNED_ITEMS = 512
"""Most items of a batch whose vectors are aligned: kernels take the square of it."""


class Settings(pretraining.Settings):
    """Settings of PAD; those of pretraining hold for the tower of ids and, except for the epochs, for the alignment.

    Attributes:
        loss: Full softmax cross-entropy, or binary cross-entropy with one sampled negative.
        text_encoder: A local directory, hub name or preset of a text encoder; None takes words weighted by TF-IDF.
        max_length: Most items read of a history.
        dropout: In the encoders, and on what the item towers compute.
        item_layers: Linear layers of each MLP.
        align_epochs: Epochs of the aligned tower alone.
        alignment: Weight of the maximum mean discrepancy.
        aligned_gate: The aligned tower's first gate at the most popular items; it falls by 1 to the least popular ones.

    """

    loss: Loss = Loss.CE
    text_encoder: str | None = None
    max_length: int = Field(default=100, ge=1, le=100_000)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    item_layers: int = Field(default=4, ge=1, le=32)
    align_epochs: float = Field(default=2.0, ge=0, le=10_000)
    alignment: float = Field(default=0.2, ge=0, le=1000)
    aligned_gate: float = Field(default=1.0, ge=-10, le=10)


class PadConfig(PretrainedConfig):
    """What a PAD is made of.

    Attributes:
        items: Size n of the catalogue.
        settings: The `Settings` it was built with.
        text_width: Width d of the text vectors.
        backbone: GPT-2's configuration of each encoder.

    """

    model_type = "pad"

    def __init__(
        self,
        items: int = 1,
        settings: dict[str, Any] | None = None,
        text_width: int = 1,
        backbone: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.items = items
        self.settings = settings or {}
        self.text_width = text_width
        self.backbone = backbone or {}
        super().__init__(**kwargs)


class Pad(InnerProduct, TrainableRecommender):
    """See the module's docstring. Shapes: B users, S places, D width of a tower, d of a text, n items."""

    settings_type = Settings
    spoken = Spoken("PAD")
    config_class = PadConfig
    config: PadConfig
    text: Tensor  # [n + 1, d]
    bins: Tensor  # int64 [n + 1]
    read: Tensor | None  # [2, n + 1, D], what the towers of aligned vectors and of texts read
    folded: Tensor | None  # [n + 1, 3 D]

    def __init__(self, config: PadConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        backbone = GPT2Config(**config.backbone)
        width, rows = backbone.n_embd, config.items + 1
        self.encoders = nn.ModuleList(GPT2Model(backbone) for _ in range(3))
        self.ids = nn.Embedding(rows, width)
        self.aligned_ids = nn.Embedding(rows, width)
        self.project_aligned = nn.Linear(config.text_width, width)
        self.project_text = nn.Linear(config.text_width, width)
        self.join = nn.Linear(2 * width, width)
        self.mix_aligned = _mlp(width, self.settings)
        self.mix_text = _mlp(width, self.settings)
        self.gates = nn.Parameter(torch.empty(3, BINS))
        self.register_buffer("text", torch.zeros(rows, config.text_width))
        self.register_buffer("bins", torch.zeros(rows, dtype=torch.int64))
        for name in ("read", "folded"):  # made by `index`, never saved
            self.register_buffer(name, None, persistent=False)
        self._int8: Int8Rows | None = None
        self._rounds = False
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights, read the texts, and count items into bins of popularity.

        Raises:
            UserError: There is no such preset, or the text encoder cannot be loaded.

        """
        assert isinstance(settings, Settings)
        if settings.preset not in SIZES:
            raise UserError(f"pad has no preset {settings.preset!r}: use one of {', '.join(SIZES)}")
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            text = _text_vectors(catalogue, settings)
            sizes = SIZES[settings.preset]
            backbone = blocks(sizes, rows=1, places=settings.max_length, dropout=settings.dropout)
            values = settings.model_dump(mode="json")
            model = cls(PadConfig(len(catalogue), values, text.shape[1], backbone.to_diff_dict()))
            model._start()
        model.text[1:] = text
        counts = Counter(chain.from_iterable(history.items for history in histories))
        model.bins[1:] = popularity_bins([counts[item] for item in range(1, len(catalogue) + 1)])
        return model

    @torch.no_grad()
    def _start(self) -> None:
        """Scale linear layers to what they read, as deep MLPs need, and set the gates as published."""
        for part in (self.project_aligned, self.project_text, self.join, self.mix_aligned, self.mix_text):
            for layer in part.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_normal_(layer.weight)
                    nn.init.zeros_(layer.bias)
        for mlp in (self.mix_aligned, self.mix_text):
            last = mlp[-1]
            assert isinstance(last, nn.Linear)
            nn.init.normal_(last.weight, std=0.02)  # or random towers would outvote those that were trained before
        first = self.settings.aligned_gate
        self.gates[IDS] = torch.linspace(1, 0, BINS)
        self.gates[ALIGNED] = torch.linspace(first, first - 1, BINS)
        self.gates[TEXTS] = torch.linspace(0, 1, BINS)

    def pretrain(self, histories: Sequence[History]) -> None:
        """Train the tower of ids, copy it, and align the copy with the texts."""
        settings, examples = self.settings, self.examples(histories)
        rest: dict[str, Any] = {"batch_size": settings.pretrain_batch, "learning_rate": settings.pretrain_rate}
        rest |= {"seed": settings.seed}

        def ids_alone(batch: dict[str, Tensor]) -> Tensor:
            return self._loss(self.ids.weight, [IDS], **batch)

        def aligned_alone(batch: dict[str, Tensor]) -> Tensor:
            seen = batch["input_ids"].unique()
            chosen = seen[torch.randperm(len(seen), device=seen.device)[:ALIGNED_ITEMS]]
            apart = discrepancy(self.project_aligned(self.text[chosen]), self.aligned_ids(chosen))
            return self._loss(self._aligned_vectors(), [ALIGNED], **batch) + settings.alignment * apart

        weights = [*self.ids.parameters(), *self.encoders[IDS].parameters()]
        fit(ids_alone, weights, examples, self.collate, epochs=settings.pretrain_epochs, title="tower of ids", **rest)
        self.aligned_ids.load_state_dict(self.ids.state_dict())
        self.encoders[ALIGNED].load_state_dict(self.encoders[IDS].state_dict())
        parts = (self.aligned_ids, self.project_aligned, self.join, self.mix_aligned, self.encoders[ALIGNED])
        weights = [weight for part in parts for weight in part.parameters()]
        fit(aligned_alone, weights, examples, self.collate, epochs=settings.align_epochs, title="alignment", **rest)

    def examples(self, histories: Sequence[History]) -> Windows:
        """Cut histories into windows of `max_length` predictions."""
        return Windows(histories, self.settings.max_length)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad windows on the right."""
        return collate_windows(examples)

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the mean loss over all places with a label; both arguments are int64 [B, S]."""
        towers = torch.stack([self.ids.weight, self._aligned_vectors(), self._text_vectors()])
        return ModelOutput(loss=self._loss(towers, [IDS, ALIGNED, TEXTS], input_ids, labels))

    def _loss(self, vectors: Tensor, towers: Sequence[int], input_ids: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of some towers, whose item vectors are [T, n + 1, D] (or [n + 1, D] of one)."""
        stacked = vectors if vectors.ndim == 3 else vectors[None]  # noqa: PLR2004 - a stack of matrices
        real = labels != PADDING
        states = [self._states(tower, stacked[place][input_ids])[real] for place, tower in enumerate(towers)]
        queries = torch.cat(states, 1)  # [P, T D]
        scored = stacked[0] if len(towers) == 1 else self.fold(stacked)
        positives = labels[real]
        if self.settings.loss is Loss.CE:
            return catalogue_cross_entropy(queries, scored[1:], positives - 1)  # padding is no candidate
        negatives = negatives_outside(input_ids, labels, self.config.items)[real]
        return binary_cross_entropy(queries, scored, positives, negatives)

    def _states(self, tower: int, vectors: Tensor) -> Tensor:
        """Run a tower's encoder over item vectors [B, S, D] to states [B, S, D]."""
        states: Tensor = self.encoders[tower](inputs_embeds=vectors).last_hidden_state
        return states

    def _aligned_vectors(self) -> Tensor:
        joined = torch.cat([self.aligned_ids.weight, self.project_aligned(self.text)], 1)
        vectors: Tensor = self.mix_aligned(self.join(joined))
        return vectors

    def _text_vectors(self) -> Tensor:
        vectors: Tensor = self.mix_text(self.project_text(self.text))
        return vectors

    def item_gates(self) -> Tensor:
        """Return each item's gates [3, n + 1], which add up to 1."""
        opened = self.gates.sigmoid()
        return (opened / opened.sum(0))[:, self.bins]

    def fold(self, towers: Tensor) -> Tensor:
        """Return item vectors [3, n + 1, D] of all towers, weighted by the gates, as one matrix [n + 1, 3 D]."""
        return (self.item_gates()[:, :, None] * towers).transpose(0, 1).flatten(1)

    @torch.no_grad()
    def index(self, catalogue: Catalogue) -> None:
        """Compute the item vectors of all towers and fold the gates in.

        Raises:
            UserError: The catalogue has another size than the one trained on.

        """
        check_size(self.config, catalogue)
        self.read = torch.stack([self._aligned_vectors(), self._text_vectors()])
        folded = self.fold(torch.cat([self.ids.weight[None], self.read]))
        self._int8 = Int8Rows.of(folded) if self._rounds else None
        self.folded = None if self._rounds else folded
        self.rebuild()

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the item vectors that encoders read (ids are weights), and of the folded matrix."""
        rows = self._int8
        folded = self.folded.nbytes if rows is None and self.folded is not None else 0
        if rows is not None:
            folded = rows.values.nbytes + rows.scales.nbytes
        parts = {"item vectors": 0 if self.read is None else self.read.nbytes, "folded item matrix": folded}
        return parts | super().index_parts

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest `max_length` items on the right."""
        return request_batch(histories, self.settings.max_length, self.serving)

    def most_places(self, name: str) -> int | None:
        """Return the most items that have a position."""
        return self.settings.max_length if name == "input_ids" else None

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return the three towers' states of the newest item side by side, [B, 3 D]."""
        assert self.read is not None, "index the catalogue first"
        items, last = inputs["input_ids"], inputs["last"]
        rows = torch.arange(len(items), device=items.device)
        tables = (self.ids.weight, self.read[0], self.read[1])
        return torch.cat([self._states(tower, table[items])[rows, last] for tower, table in enumerate(tables)], 1)

    @property
    def ranked_rows(self) -> tuple[Tensor | Int8Rows, None]:
        """Return the folded matrix, [n + 1, 3 D], without a bias."""
        if self._int8 is not None:
            return self._int8, None
        assert self.folded is not None, "index the catalogue first"
        return self.folded, None

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up three encoders and one product with all items; item vectors are made by `index`."""
        users, places = inputs["input_ids"].shape
        encoder: Any = self.encoders[IDS]
        read = 3 * forward_costs.gpt2(encoder.config, users, places)
        return forward_costs.total(read, self.ranking_flops(users))

    def round_weights(self) -> None:
        """Round the folded matrix, too; what the encoders read stays in float."""
        super().round_weights()
        self._rounds = True


def popularity_bins(counts: Sequence[int]) -> Tensor:
    """Sort items into `BINS` bins of about equal size, the most popular into bin 0; equal counts share one.

    Args:
        counts: How often items 1..n occur in training.

    Returns:
        int64 [n].

    """
    popular = np.sort(np.asarray(counts))[::-1]
    edges = popular[[max(0, len(popular) * place // BINS - 1) for place in range(1, BINS)]]  # falling
    return torch.from_numpy((np.asarray(counts)[:, None] < edges).sum(1))


def discrepancy(left: Tensor, right: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy of two samples [N, D] under a sum of Gaussian kernels.

    The unbiased estimate of Gretton et al. 2012 ("A kernel two-sample test", lemma 6), each kernel's width a multiple
    of the mean squared distance between all vectors; it is 0 in expectation where both come from one distribution,
    and 0 where there is one vector of each.
    """
    size = len(left)
    if size < 2:  # noqa: PLR2004 - a pair needs two
        return left.sum() * 0
    both = torch.cat([left, right]).float()
    squares = both.square().sum(1)
    with torch.autocast(both.device.type, enabled=False):  # small distances are differences of large numbers
        apart = (squares[:, None] + squares - 2 * both @ both.T).clamp_min(0)  # [2 N, 2 N]
    mean = apart.detach().mean().clamp_min(torch.finfo(torch.float32).tiny)
    kernel = sum((torch.exp(-apart / (2 * width * mean)) for width in KERNELS), torch.zeros_like(apart))
    within = (kernel[:size, :size].sum() + kernel[size:, size:].sum() - kernel.diagonal().sum()) / (size * (size - 1))
    across: Tensor = 2 * kernel[:size, size:].mean()
    return within - across


def _mlp(width: int, settings: Settings) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(settings.item_layers):
        layers += [nn.Linear(width, width), nn.GELU(), nn.Dropout(settings.dropout)]
    return nn.Sequential(*layers[:-2])


def _text_vectors(catalogue: Catalogue, settings: Settings) -> Tensor:
    """Return vectors of the texts [n, d], centred and scaled as a whole."""
    texts = [item.text for item in catalogue.items]
    if settings.text_encoder is None:
        vectors = word_vectors(texts, settings.seed)
    else:
        vectors = encoder_vectors(texts, settings.text_encoder)
    centred = vectors - vectors.mean(0)
    return torch.from_numpy(centred / max(float(centred.std()), 1e-6))

"""P2Rec: an LLM that learned what users like is asked once about every item, and a SASRec serves alone.

After the description in "A Practice-Friendly LLM-Enhanced Paradigm with Preference Parsing for Sequential
Recommendation" (2024, arXiv 2406.00333, first called TSLRec); no code was published. Offline, in this order:

1. Item vectors of a SASRec are clustered into latent categories by k-means.
2. The LLM reads a user's items as vectors, those of the SASRec projected to its width, behind a prompt, and learns to
   tell the shares of the categories in that history: one example a user, not one an interaction.
3. `index` feeds each item alone to the tuned LLM. Its last state, centred and scaled over the catalogue and projected,
   is added to the item's own embedding.

A SASRec is trained on these sums, reads and scores them, and is all that runs at a request.

Assumed, since the paper could be read in part only: 64 categories, a learned prompt of four vectors, the whole LLM
tuned, sums instead of another way of joining, and the loss of SASRec with cross-entropy over the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from pydantic import Field
from sklearn.cluster import KMeans
from torch import Tensor, nn
from transformers import BatchFeature, GPT2Config, GPT2Model, PretrainedConfig
from transformers.utils.generic import ModelOutput

from baselines.one_pass import pretraining
from baselines.one_pass.pretraining import collaborative_vectors, fit
from baselines.one_pass.sasrec import SIZES, blocks
from models import forward_costs, recommender
from models.backbones import Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.int8 import Int8Rows
from models.item_scored import check_size
from models.item_vectors import as_config
from models.losses import catalogue_cross_entropy
from models.padding import PADDING
from models.ragged import pad
from models.ranking.inner_product import InnerProduct
from models.sequences import Windows, collate_windows, request_batch
from models.spoken import Spoken
from models.trainable import TrainableRecommender

LLMS = {"compact": "compact-causal", "t5-small": "llama-small", "t5-base": "llama-small"}
"""Which LLM goes with a preset."""

CHUNK = 1024
"""Items that the LLM reads at a time."""

UNPUBLISHED = "after the paper's description: no code was published"


class Settings(pretraining.Settings):
    """Settings of P2Rec.

    Attributes:
        max_length: Most items read of a history.
        dropout: On embeddings, attention and residual branches of both SASRecs.
        llm: A preset, local directory or hub name of a decoder; None takes the preset's.
        prompt: Learned vectors before what the LLM reads.
        categories: Clusters of items.
        tune_epochs: Epochs over the users in which the LLM is tuned.
        tune_batch: Users a step.
        tune_rate: Highest learning rate of the LLM.

    """

    max_length: int = Field(default=100, ge=1, le=100_000)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    llm: str | None = None
    prompt: int = Field(default=4, ge=1, le=1024)
    categories: int = Field(default=64, ge=2, le=65_536)
    tune_epochs: float = Field(default=2.0, ge=0, le=10_000)
    tune_batch: int = Field(default=64, ge=1, le=65_536)
    tune_rate: float = Field(default=1e-3, gt=0, le=1)

    @property
    def llm_name(self) -> str:
        """The LLM that is used when `llm` says nothing."""
        return self.llm or LLMS.get(self.preset, self.preset)


class P2RecConfig(PretrainedConfig):
    """What a P2Rec is made of.

    Attributes:
        items: Size n of the catalogue.
        settings: The `Settings` it was built with.
        backbone: GPT-2's configuration of the SASRec.
        llm: Configuration of the LLM.

    """

    model_type = "p2rec"

    def __init__(
        self,
        items: int = 1,
        settings: dict[str, Any] | None = None,
        backbone: dict[str, Any] | None = None,
        llm: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.items = items
        self.settings = settings or {}
        self.backbone = backbone or {}
        self.llm = llm or {"model_type": "llama"}
        super().__init__(**kwargs)


class P2Rec(InnerProduct, TrainableRecommender):
    """See the module's docstring. Shapes: B users, S places, D width of the SASRec, W width of the LLM, n items.

    Attributes:
        collaborative: Item vectors of the first SASRec, [n + 1, D].
        states: What the LLM makes of each item, centred and scaled over items, [n + 1, W]; made by `index` and, while
            training, once.
        vectors: What the SASRec reads and scores, [n + 1, D]; made by `index`.

    """

    settings_type = Settings
    spoken = Spoken("P2Rec")
    config_class = P2RecConfig
    config: P2RecConfig
    collaborative: Tensor
    states: Tensor | None
    vectors: Tensor | None

    def __init__(self, config: P2RecConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        backbone, llm = GPT2Config(**config.backbone), as_config(config.llm)
        width, wide = backbone.n_embd, llm.hidden_size
        self.backbone = GPT2Model(backbone)
        self.embedding = nn.Embedding(config.items + 1, width)
        self.fuse = nn.Linear(wide, width)
        self.llm = new_backbone(llm, Role.CAUSAL)
        self.prompt = nn.Parameter(torch.empty(self.settings.prompt, wide))
        self.to_llm = nn.Linear(width, wide)
        self.to_categories = nn.Linear(wide, self._categories)
        self.register_buffer("collaborative", torch.zeros(config.items + 1, width))
        for name in ("states", "vectors"):
            self.register_buffer(name, None, persistent=False)
        self._int8: Int8Rows | None = None
        self._rounds = False
        for part in self._offline:
            part.requires_grad_(False)
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights, or a pretrained LLM where `settings` name one.

        Raises:
            UserError: There is no such preset, or the LLM cannot be loaded.

        """
        del histories
        assert isinstance(settings, Settings)
        if settings.preset not in SIZES:
            raise UserError(f"p2rec has no preset {settings.preset!r}: use one of {', '.join(SIZES)}")
        name = settings.llm_name
        changes = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None} if is_preset(name) else {}
        llm = backbone_config(name, vocab_size=1 if is_preset(name) else None, **changes)
        size = SIZES[settings.preset]
        backbone = blocks(size, rows=1, places=settings.max_length, dropout=settings.dropout)
        values = settings.model_dump(mode="json")
        config = P2RecConfig(len(catalogue), values, backbone.to_diff_dict(), llm.to_dict())
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(name):
                model.llm = pretrained_backbone(name, Role.CAUSAL)
                model.llm.requires_grad_(False)
            nn.init.normal_(model.prompt, std=0.02)
            nn.init.normal_(model.collaborative, std=0.02)
            nn.init.normal_(
                model.fuse.weight, std=0.02 * model.fuse.in_features**-0.5
            )  # both parts weigh alike at first
        return model

    @property
    def labels(self) -> tuple[str, ...]:
        """Say what it was built from."""
        return (UNPUBLISHED,)

    @property
    def _categories(self) -> int:
        return min(self.settings.categories, self.config.items)

    @property
    def _offline(self) -> tuple[nn.Module | nn.Parameter, ...]:
        """What is learned before the SASRec, and stands still while that learns."""
        return (self.llm, self.prompt, self.to_llm, self.to_categories)

    def pretrain(self, histories: Sequence[History]) -> None:
        """Learn item vectors, cluster them, and tune the LLM on the users' shares of the clusters."""
        settings = self.settings
        vectors = collaborative_vectors(
            self.config.items,
            histories,
            settings,
            size=SIZES[settings.preset],
            places=settings.max_length,
            dropout=settings.dropout,
            device=self.device,
        )
        self.collaborative.copy_(vectors)
        category = latent_categories(self.collaborative[1:], self._categories, settings.seed)
        users = Users(histories, settings.max_length)
        moved = [weight for part in self._offline for weight in _weights_of(part)]
        for weight in moved:
            weight.requires_grad_()

        def loss(batch: dict[str, Tensor]) -> Tensor:
            items = batch["input_ids"]
            wanted = category_shares(items, category, self._categories)
            told: Tensor = self.to_categories(self._asked(items)).float().log_softmax(1)
            return -(wanted * told).sum(1).mean()

        fit(
            loss,
            moved,
            users,
            collate_users,
            epochs=settings.tune_epochs,
            batch_size=settings.tune_batch,
            learning_rate=settings.tune_rate,
            seed=settings.seed,
            title="the LLM",
        )
        for weight in moved:
            weight.requires_grad_(False)
        self.states = None

    def _asked(self, items: Tensor) -> Tensor:
        """Return the LLM's state behind the prompt and items int64 [B, S], padded on the right; [B, W]."""
        read = self.to_llm(self.collaborative[items])
        prompt = self.prompt.expand(len(items), -1, -1).to(read.dtype)
        states = self.llm(inputs_embeds=torch.cat([prompt, read], 1)).last_hidden_state
        last = (items != PADDING).sum(1).clamp_min(1) + len(self.prompt) - 1
        behind: Tensor = states[torch.arange(len(items), device=items.device), last]
        return behind

    @torch.no_grad()
    def _all_states(self) -> Tensor:
        """Ask the LLM for each item alone, [n + 1, W]."""
        was_training = self.llm.training
        self.llm.eval()
        numbers = torch.arange(self.config.items + 1, device=self.device)[:, None]
        states = torch.cat([self._asked(some) for some in numbers.split(CHUNK)])
        self.llm.train(was_training)
        return states

    def item_vectors(self) -> Tensor:
        """Add what the LLM says of each item to its embedding, [n + 1, D]."""
        if self.states is None:
            with torch.autocast(self.device.type, enabled=False):  # as a loaded one will
                self.states = told_apart(self._all_states())
        vectors: Tensor = self.embedding.weight + self.fuse(self.states)
        return vectors

    def examples(self, histories: Sequence[History]) -> Windows:
        """Cut histories into windows of `max_length` predictions."""
        return Windows(histories, self.settings.max_length)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad windows on the right."""
        return collate_windows(examples)

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the mean cross-entropy over all places with a label; both arguments are int64 [B, S]."""
        vectors, real = self.item_vectors(), labels != PADDING
        queries = self.backbone(inputs_embeds=vectors[input_ids]).last_hidden_state[real]
        return ModelOutput(loss=catalogue_cross_entropy(queries, vectors[1:], labels[real] - 1))

    @torch.no_grad()
    def index(self, catalogue: Catalogue) -> None:
        """Let the LLM read every item, unless it did so in training, and add up the item vectors.

        Raises:
            UserError: The catalogue has another size than the one trained on.

        """
        check_size(self.config, catalogue)
        vectors = self.item_vectors()
        self._int8 = Int8Rows.of(vectors) if self._rounds else None
        self.vectors = vectors
        self.rebuild()

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the item vectors, in float as they are read and, where weights are rounded, as they are scored."""
        rounded = 0 if self._int8 is None else self._int8.values.nbytes + self._int8.scales.nbytes
        parts = {"item vectors": 0 if self.vectors is None else self.vectors.nbytes, "rounded item vectors": rounded}
        return parts | super().index_parts

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest `max_length` items on the right."""
        return request_batch(histories, self.settings.max_length, self.serving)

    def most_places(self, name: str) -> int | None:
        """Return the most items that have a position."""
        return self.settings.max_length if name == "input_ids" else None

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return the hidden state of the newest item, [B, D]."""
        assert self.vectors is not None, "index the catalogue first"
        hidden: Tensor = self.backbone(inputs_embeds=self.vectors[inputs["input_ids"]]).last_hidden_state
        return hidden[torch.arange(len(hidden), device=hidden.device), inputs["last"]]

    @property
    def ranked_rows(self) -> tuple[Tensor | Int8Rows, None]:
        """Return the item vectors, in float or rounded, [n + 1, D], without a bias."""
        if self._int8 is not None:
            return self._int8, None
        assert self.vectors is not None, "index the catalogue first"
        return self.vectors, None

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the SASRec's blocks and the scores of all items; the LLM has no part in a request."""
        users, places = inputs["input_ids"].shape
        return forward_costs.total(forward_costs.gpt2(self.backbone.config, users, places), self.ranking_flops(users))

    def round_weights(self) -> None:
        """Round the item vectors too, where items are ranked by them; the network goes on reading them in float."""
        super().round_weights()
        self._rounds = True


class Users:
    """One example a user: the newest items.

    Args:
        histories: Training histories; empty ones yield nothing.
        max_length: Most items.

    """

    def __init__(self, histories: Sequence[History], max_length: int) -> None:
        self._read = [history.items[-max_length:] for history in histories if history.items]

    @property
    def lengths(self) -> list[int]:
        """Items of each user."""
        return [len(items) for items in self._read]

    @property
    def interactions(self) -> int:
        """One prediction a user."""
        return len(self)

    def __len__(self) -> int:
        """Count the users."""
        return len(self._read)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return a user's items."""
        return {"input_ids": self._read[number]}


def collate_users(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Pad users' items on the right, int64 [B, S]."""
    return {"input_ids": pad([example["input_ids"] for example in examples])}


def latent_categories(vectors: Tensor, categories: int, seed: int) -> Tensor:
    """Cluster item vectors [n, D] by k-means; return clusters int64 [n + 1], padding's (row 0) being `categories`."""
    clusters = KMeans(categories, n_init=1, random_state=seed).fit_predict(vectors.float().cpu().numpy())
    told = torch.cat([torch.tensor([categories]), torch.from_numpy(clusters).long()])
    return told.to(vectors.device)


def category_shares(items: Tensor, category: Tensor, categories: int) -> Tensor:
    """Return each category's share of a user's items int64 [B, S], float32 [B, C]; padding does not count."""
    counts = torch.zeros(len(items), categories + 1, device=items.device)
    counts.scatter_add_(1, category[items], torch.ones_like(items, dtype=counts.dtype))
    counts = counts[:, :categories]
    return counts / counts.sum(1, keepdim=True).clamp_min(1)


def told_apart(states: Tensor) -> Tensor:
    """Centre and scale states [n + 1, W] over items 1..n: what all items share tells none of them apart."""
    items = states[1:]
    spread = items.std(0, correction=0).clamp_min(1e-6)
    return (states - items.mean(0)) / spread


def _weights_of(part: nn.Module | nn.Parameter) -> list[nn.Parameter]:
    return [part] if isinstance(part, nn.Parameter) else list(part.parameters())

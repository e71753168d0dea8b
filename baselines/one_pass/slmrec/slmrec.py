"""SLMRec: item vectors of a SASRec through a few layers of a Llama (Xu et al. 2025, arXiv 2405.17890).

From the public code (WujiangXu/SLMRec at 0555b8d)::

    item vectors of a SASRec, frozen ─▶ projection ─▶ instruction, items, response ─▶ first layers of a Llama
    state of the last response vector ─▶ projection ─▶ inner product with all item vectors

One pass answers. The teacher (``role=teacher``) has four times the student's layers and is trained by cross-entropy
over the catalogue. A student begins as the teacher's first layers, and learns from cross-entropy and, at the end of
each of `blocks` blocks of layers, from how far its state lies from the teacher's. Training a student trains its teacher
first, unless there is a checkpoint of it. Both are cases of their own, ranked and measured side by side.

What differs: the released code builds the whole Llama again after it cut its layers off, distils nothing unless
``distill_type=align`` is named, and goes on without a word where distilling fails; it learns one target a user, and
here every item of a history is one (`reading`). Its prompts are texts, and here vectors that are learned. Where
`backbone` names pretrained weights, all that is kept of them is trained, without adapters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from transformers import BatchFeature, PretrainedConfig
from transformers.utils.generic import ModelOutput

from baselines.one_pass import pretraining
from baselines.one_pass.pretraining import collaborative_vectors
from baselines.one_pass.slmrec.distillation import block_ends, told
from baselines.one_pass.slmrec.reading import places, sight
from models import forward_costs, recommender
from models.backbones import Role as Reading
from models.backbones import backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.dropout import Dropout
from models.errors import UserError
from models.item_scored import ItemScored
from models.item_vectors import as_config
from models.losses import catalogue_cross_entropy
from models.padding import PADDING
from models.sequences import Windows, collate_windows, request_batch
from models.spoken import Spoken
from models.trainable import TrainableRecommender


class Role(StrEnum):
    """Whether a model teaches or is taught."""

    STUDENT = "student"
    TEACHER = "teacher"


SIZES: dict[str, dict[str, Any]] = {
    "compact": {"backbone": "compact-causal", "vectors": 64, Role.TEACHER: 8, Role.STUDENT: 2, "blocks": 2},
    "t5-small": {"backbone": "llama-small", "vectors": 128, Role.TEACHER: 32, Role.STUDENT: 8, "blocks": 4},
    "t5-base": {"backbone": "llama-small", "vectors": 128, Role.TEACHER: 32, Role.STUDENT: 8, "blocks": 4},
}
"""Llama, width of the item vectors, and layers; the larger ones have the published depths at a width of 512."""

SASREC = {"layers": 2, "heads": 2}
"""Layers and heads of the SASRec whose item vectors are taken; its width is that of the vectors."""


class Settings(pretraining.Settings):
    """Settings of SLMRec.

    Attributes:
        role: Student or teacher.
        backbone: A preset, local directory or hub name of a Llama; None takes the preset's.
        layers: How many of its first layers are kept; None takes the preset's for the role.
        blocks: Blocks of layers at whose ends a student is compared with its teacher; None takes the preset's.
        instruction: Learned vectors before the items.
        response: Learned vectors behind them.
        max_length: Most items read of a history.
        dropout: On item vectors that are read, and in the SASRec.
        direction: Weight of one minus the cosine of a student's and its teacher's state.
        length: Weight of the norm of their difference.
        exits: Weight of cross-entropy at the end of each block but the last, with a projection of its own.

    """

    role: Role = Role.STUDENT
    backbone: str | None = None
    layers: int | None = Field(default=None, ge=1, le=1024)
    blocks: int | None = Field(default=None, ge=1, le=1024)
    instruction: int = Field(default=8, ge=0, le=4096)
    response: int = Field(default=1, ge=1, le=4096)
    max_length: int = Field(default=30, ge=1, le=100_000)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    direction: float = Field(default=1.0, ge=0, le=1000)
    length: float = Field(default=0.1, ge=0, le=1000)
    exits: float = Field(default=0.0, ge=0, le=1000)

    @property
    def depth(self) -> int:
        """Layers that are kept."""
        return self.layers or int(SIZES[self.preset][self.role])

    @property
    def parts(self) -> int:
        """Blocks of layers."""
        return self.blocks or int(SIZES[self.preset]["blocks"])

    @model_validator(mode="after")
    def _blocks_of_equal_depth(self) -> Self:
        if self.preset in SIZES:
            block_ends(self.depth, self.parts)
        return self


class SLMRecConfig(PretrainedConfig):
    """What an SLMRec is made of.

    Attributes:
        items: Size n of the catalogue.
        settings: The `Settings` it was built with.
        llm: Configuration of the Llama, with the layers that are kept.

    """

    model_type = "slmrec"

    def __init__(
        self,
        items: int = 1,
        settings: dict[str, Any] | None = None,
        llm: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.items = items
        self.settings = settings or {}
        self.llm = llm or {"model_type": "llama"}
        super().__init__(**kwargs)


class SLMRec(ItemScored):
    """See the module's docstring. Shapes: B users, S items, T prefixes, D width of the Llama, d of the vectors.

    Attributes:
        taught_by: The one teacher, while training. It is no submodule: its weights are kept elsewhere.

    """

    settings_type = Settings
    spoken = Spoken("SLMRec", {"SLMRec (teacher)": {"role": "teacher"}})
    config_class = SLMRecConfig
    config: SLMRecConfig
    vectors: Tensor  # [n + 1, d]
    projected: Tensor | None  # [n + 1, D], for serving
    taught_by: tuple[Any, ...] = ()

    def __init__(self, config: SLMRecConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        settings, llm = self.settings, as_config(config.llm)
        narrow, width = SIZES[settings.preset]["vectors"], llm.hidden_size
        self.register_buffer("vectors", torch.zeros(config.items + 1, narrow))
        self.register_buffer("projected", None, persistent=False)
        self.instruction = nn.Parameter(torch.empty(settings.instruction, width))
        self.response = nn.Parameter(torch.empty(settings.response, width))
        self.into = nn.Linear(narrow, width)
        self.llm: Any = new_backbone(llm, Reading.CAUSAL)
        self.out_of = nn.Linear(width, narrow, bias=False)
        inner = settings.parts - 1 if settings.exits else 0
        self.exits = nn.ModuleList(nn.Linear(width, narrow, bias=False) for _ in range(inner))
        self.dropout = Dropout(settings.dropout)
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights, or the first layers of a pretrained Llama.

        Raises:
            UserError: There is no such preset, the Llama cannot be loaded, or it has fewer layers.

        """
        del histories
        assert isinstance(settings, Settings)
        if settings.preset not in SIZES:
            raise UserError(f"slmrec has no preset {settings.preset!r}: use one of {', '.join(SIZES)}")
        name = settings.backbone or SIZES[settings.preset]["backbone"]
        nothing: dict[str, Any] = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
        llm = backbone_config(name, vocab_size=1, **nothing) if is_preset(name) else backbone_config(name)
        if not is_preset(name) and llm.num_hidden_layers < settings.depth:
            raise UserError(
                f"slmrec is to keep {settings.depth} layers and {name} has {llm.num_hidden_layers}: --set layers=N"
            )
        llm.num_hidden_layers = settings.depth
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(SLMRecConfig(len(catalogue), settings.model_dump(mode="json"), llm.to_dict()))
            nn.init.normal_(model.vectors, std=model.vectors.shape[1] ** -0.5)
            for prompt in (model.instruction, model.response):
                nn.init.normal_(prompt, std=0.02)
            if not is_preset(name):
                pretrained: Any = pretrained_backbone(name, Reading.CAUSAL)
                pretrained.layers = pretrained.layers[: settings.depth]
                pretrained.config.num_hidden_layers = settings.depth
                model.llm = pretrained
        return model

    @property
    def item_vectors(self) -> Tensor:
        """The SASRec's item vectors, frozen."""
        return self.vectors

    @property
    def teacher(self) -> Mapping[str, Any] | None:
        """What a student's teacher is built with, beside its recipe."""
        settings = self.settings
        if settings.role is Role.TEACHER or not (settings.direction or settings.length):
            return None
        named = {"backbone": settings.backbone} if settings.backbone else {}
        return {"role": Role.TEACHER.value, "preset": settings.preset, "seed": settings.seed, **named}

    def learn_from(self, teacher: TrainableRecommender) -> None:
        """Begin as the teacher's first layers, with its item vectors, and learn from its states.

        Raises:
            UserError: The teacher has fewer layers, or blocks that do not fit.

        """
        assert isinstance(teacher, SLMRec)
        mine, its = self.settings.depth, teacher.settings.depth
        if its < mine or its % self.settings.parts:
            raise UserError(f"slmrec: a teacher of {its} layers has no {self.settings.parts} blocks for {mine} layers")
        teacher_weights, own = teacher.state_dict(), self.state_dict()
        begin = {
            name: value for name, value in teacher_weights.items() if name in own and not name.startswith("exits.")
        }
        self.load_state_dict(
            {name: value for name, value in begin.items() if value.shape == own[name].shape}, strict=False
        )
        self.taught_by = (teacher.eval().requires_grad_(requires_grad=False),)

    def pretrain(self, histories: Sequence[History]) -> None:
        """Train the SASRec whose item vectors are taken; a student has its teacher's."""
        if self.taught_by:
            return
        settings = self.settings
        self.vectors.copy_(
            collaborative_vectors(
                self.config.items,
                histories,
                settings,
                size={"width": self.vectors.shape[1], **SASREC},
                places=settings.max_length,
                dropout=settings.dropout,
                device=self.device,
            )
        )

    def examples(self, histories: Sequence[History]) -> Windows:
        """Cut histories into windows of `max_length` predictions."""
        return Windows(histories, self.settings.max_length)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad windows on the right."""
        return collate_windows(examples)

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return cross-entropy over all places with a label, and distance from the teacher; arguments int64 [B, S]."""
        real = labels != PADDING
        read = self.dropout(self.into(self.vectors[input_ids]))
        ends = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        states = self._states(read, ends)
        behind = [states[end][real] for end in block_ends(self.settings.depth, self.settings.parts)]
        goals = labels[real] - 1  # padding is no candidate
        loss = catalogue_cross_entropy(self.out_of(behind[-1]), self.vectors[1:], goals)
        for project, state in zip(self.exits, behind, strict=False):
            loss = loss + self.settings.exits * catalogue_cross_entropy(project(state), self.vectors[1:], goals)
        for teacher in self.taught_by:
            with torch.no_grad():
                theirs = teacher._states(teacher.into(teacher.vectors[input_ids]), ends)  # noqa: SLF001 - of its kind
            teacher_states = [theirs[end][real] for end in block_ends(teacher.settings.depth, self.settings.parts)]
            loss = loss + told(behind, teacher_states, direction=self.settings.direction, length=self.settings.length)
        return ModelOutput(loss=loss)

    @torch.no_grad()
    def index(self, catalogue: Catalogue) -> None:
        """Project every item's vector to what the Llama reads."""
        super().index(catalogue)
        self.projected = self.into(self.vectors)

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the vectors that are read; those that are scored are weights."""
        return {"read vectors": 0 if self.projected is None else self.projected.nbytes}

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest `max_length` items on the right."""
        return request_batch(histories, self.settings.max_length, self.serving)

    def most_places(self, name: str) -> int | None:
        """Return the most items that are read."""
        return self.settings.max_length if name == "input_ids" else None

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return the state of the last response vector as an item vector, [B, d]."""
        assert self.projected is not None, "index the catalogue first"
        states = self._states(self.projected[inputs["input_ids"]], inputs["last"][:, None], last_alone=True)
        query: Tensor = self.out_of(states[-1][:, 0])
        return query

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the layers that are kept, over prompt and items, the projection, and the scores of all items."""
        users, items = inputs["input_ids"].shape
        read = forward_costs.reader(self.llm.config, users, len(self.instruction) + items + len(self.response))
        out = forward_costs.products(users, (self.llm.config.hidden_size, self.vectors.shape[1]))
        return forward_costs.total(read, out, self.ranking_flops(users))

    def _states(self, read: Tensor, ends: Tensor, *, last_alone: bool = False) -> tuple[Tensor, ...]:
        """Return the states of the last response vector behind each prefix, [B, T, D], before and behind each layer.

        Args:
            read: What the Llama reads of the items, [B, S, D].
            ends: The newest item of each prefix, int64 [B, T].
            last_alone: Whether those behind the last layer are all that is wanted.

        """
        users, prefixes = ends.shape
        items, before, behind = read.shape[1], len(self.instruction), len(self.response)
        instruction = self.instruction.expand(users, -1, -1).to(read.dtype)
        response = self.response.repeat(prefixes, 1).expand(users, -1, -1).to(read.dtype)
        output = self.llm(
            inputs_embeds=torch.cat([instruction, read, response], 1),
            attention_mask=sight(ends, items, before, behind, read.dtype),
            position_ids=places(ends, items, before, behind),
            output_hidden_states=not last_alone,
            use_cache=False,
        )
        states = (output.last_hidden_state,) if last_alone else output.hidden_states
        return tuple(state[:, before + items + behind - 1 :: behind] for state in states)

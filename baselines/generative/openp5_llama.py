"""OpenP5 on a decoder alone: an instruction with the history's item IDs, the next item's ID as its response.

After the LLaMA path of OpenP5 v2 (Xu et al. 2023, arXiv 2306.07134; agiresearch/OpenP5): the prompts
and item IDs of P5, prompt and target in one sequence, low-rank adapters (Hu et al. 2022, arXiv
2106.09685) on the query and value projections of a pretrained model. A preset has random weights,
which adapters could not make useful, so there all weights are trained.

Differences: weights are full precision where OpenP5 loads 8 bits; ``Response:`` ends the prompt,
where OpenP5 has the trie force it, which costs decoder steps that say nothing; adapters are merged
into the weights for serving, so that they cost nothing there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from pydantic import Field
from torch import Tensor
from transformers import AutoConfig, BatchFeature, PretrainedConfig, PreTrainedTokenizerBase
from transformers.utils.generic import ModelOutput

from baselines.decoding.beams import Prompt
from baselines.generative import prompted
from baselines.generative.every_item import EveryItem, Targets, collate_sequences, sequence_loss
from baselines.generative.generative import IGNORED
from baselines.generative.prompted import Prompted, PromptedConfig, Written, token_rows
from baselines.generative.prompts import OPENING
from baselines.item_ids.numbering import Numbering
from baselines.item_ids.words import Encoded
from models import recommender
from models.backbones import Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.dropout import drop_residuals
from models.errors import UserError
from models.ragged import pad
from models.spoken import Spoken
from models.trainable import Examples

BACKBONES = {"compact": "compact-llama"}
"""Which backbone goes with a preset; the preset itself where nothing is said."""

FAMILIES = ("llama", "qwen2", "qwen3")
"""Model types that the exact decoders know."""

ADAPTED = ["q_proj", "v_proj"]


class Settings(prompted.Settings):
    """Settings; `preset` is ``compact``, ``llama-small``, another Llama preset, a local directory or a hub name.

    Attributes:
        targets: Which items of a history an example learns: the next one, or all of them behind one opening.
        dropout: Chance that a value of embeddings, or of what a block adds, is dropped where all weights are trained.
        lora_rank: Rank of the adapters where weights are pretrained; 0 trains all weights there, too.
        lora_alpha: What adapters are multiplied by, over their rank.
        lora_dropout: Dropout of their inputs, in training.

    """

    targets: Targets = Targets.NEXT
    dropout: float = Field(default=0.0, ge=0, lt=1)
    lora_rank: int = Field(default=8, ge=0, le=4096)
    lora_alpha: int = Field(default=16, ge=1, le=4096)
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)


class OpenP5LlamaConfig(PromptedConfig):
    """What an OpenP5-LLaMA is made of.

    Attributes:
        backbone: Configuration of the transformers model.
        adapted: Whether it has adapters.

    """

    model_type = "openp5-llama"

    def __init__(self, backbone: dict[str, Any] | None = None, adapted: bool = False, **kwargs: Any) -> None:
        self.backbone = backbone or {}
        self.adapted = adapted
        super().__init__(**kwargs)


class OpenP5Llama(Prompted):
    """See the module's docstring. Shapes: B users, S prompt tokens, T target tokens."""

    settings_type = Settings
    spoken = Spoken("OpenP5 (Llama)", {"OpenP5 (Llama), all targets": {"targets": "all"}})
    config_class = OpenP5LlamaConfig
    config: OpenP5LlamaConfig
    settings: Settings
    ending: ClassVar[str] = " Response:"

    def __init__(self, config: OpenP5LlamaConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        self.llama: Any = new_backbone(AutoConfig.for_model(**config.backbone), Role.DECODER_ONLY)
        if config.adapted:
            self._adapt()
        else:
            drop_residuals(self.llama, self.settings.dropout)
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Number the items, choose or train the tokenizer, and make seeded or pretrained weights.

        Raises:
            UserError: `settings.preset` cannot be loaded or is no decoder of a known family, or the
                catalogue cannot be numbered as asked.

        """
        assert isinstance(settings, Settings)
        name = BACKBONES.get(settings.preset, settings.preset)
        backbone = backbone_config(name)
        if backbone.model_type not in FAMILIES:
            raise UserError(
                f"openp5-llama needs a decoder alone, and {settings.preset!r} is a {backbone.model_type}: use compact, "
                f"llama-small, or a model of type {', '.join(FAMILIES)}"
            )
        written = Written.of(catalogue, histories, settings, backbone=name, ending=cls.ending)
        backbone.vocab_size = token_rows(name, backbone, len(written.tokenizer))
        values: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "dataset": catalogue.name}
        config = OpenP5LlamaConfig(backbone=_with_tokens_of(written.tokenizer, backbone), **values)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(name):
                pretrained: Any = pretrained_backbone(name, Role.DECODER_ONLY)
                pretrained.resize_token_embeddings(backbone.vocab_size)
                model.llama.load_state_dict(pretrained.state_dict())
                config.adapted = settings.lora_rank > 0
                if config.adapted:
                    model._adapt()
        model._adopt(written.tokenizer, written.items)
        return model

    def _adapt(self) -> None:
        """Put adapters in."""
        settings = self.settings
        lora = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules=ADAPTED,
        )
        inject_adapter_in_model(lora, self.llama)
        self._choose_trained()

    def _choose_trained(self) -> None:
        """Train adapters alone, and with words added to the vocabulary also its embeddings."""
        for name, weight in self.llama.named_parameters():
            weight.requires_grad_("lora_" in name)
        if self.settings.numbering is Numbering.COLLABORATIVE:
            for embeddings in (self.llama.get_input_embeddings(), self.llama.get_output_embeddings()):
                embeddings.weight.requires_grad_(True)

    def load_assets(self, folder: Path) -> None:
        """Load the tokenizer and the item IDs; loading weights has made all of them trainable."""
        super().load_assets(folder)
        if self.config.adapted:
            self._choose_trained()

    def train(self, mode: bool = True) -> Self:
        """Train adapters beside the weights, and serve with both in one."""
        super().train(mode)
        self._merge(not mode)
        return self

    def _merge(self, merged: bool) -> bool:
        """Fold adapters into the weights, or take them out again; return whether they were folded in."""
        layers = [module for module in self.modules() if isinstance(module, LoraLayer)]
        before = any(layer.merged for layer in layers)
        for layer in layers:
            if merged and not before:
                layer.merge()
            elif before and not merged:
                layer.unmerge()
        return before

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save as all recommenders do, adapters beside the weights that they change."""
        before = self._merge(False)
        super().save_pretrained(save_directory, *args, **kwargs)
        self._merge(before)

    @property
    def generator(self) -> Any:
        """The language model."""
        return self.llama

    def pad_prompts(self, prompts: Sequence[Encoded]) -> dict[str, Tensor]:
        """Pad on the left: ``input_ids``, ``attention_mask`` [B, S]; a prompt has a start where its tokenizer has."""
        assert self._tokenizer is not None
        rows = [[*self._start, *prompt.tokens[:-1]] for prompt in prompts]
        return {"input_ids": pad(rows, left=True), "attention_mask": pad([[1] * len(row) for row in rows], left=True)}

    @property
    def _start(self) -> list[int]:
        assert self._tokenizer is not None
        start = self._tokenizer.bos_token_id
        return [] if start is None else [start]

    def opening(self, user: int) -> list[int]:
        """Return what stands before the items where all of them are targets."""
        return [*self._start, *self._encode(OPENING.format(dataset=self.config.dataset, user=user)).tokens[:-1]]

    def request(self, prompt: str, user: int, items: Sequence[int]) -> Encoded:
        """Fill and tokenise a prompt; where all items are targets, one opening stands before them instead."""
        if self.settings.targets is Targets.NEXT:
            return super().request(prompt, user, items)
        opening = self._encode(OPENING.format(dataset=self.config.dataset, user=user))
        written = chain.from_iterable(self.target(item) for item in items[-self.settings.max_history :])
        tokens = [*opening.tokens[:-1], *written, opening.tokens[-1]]
        return Encoded(tokens, [0] * len(tokens))

    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut histories into windows whose items are all learned, or into one example for each item."""
        if self.settings.targets is Targets.ALL:
            return EveryItem(self, histories, self.settings.max_history)
        return super().examples(histories)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad prompts and ``labels`` [B, T]; with ``targets=all`` whole sequences and ``labels``, int64 [B, S]."""
        return collate_sequences(examples) if self.settings.targets is Targets.ALL else super().collate(examples)

    def forward(self, input_ids: Tensor, labels: Tensor, attention_mask: Tensor | None = None) -> ModelOutput:
        """Return the mean cross-entropy over the response's tokens, or over those of all targets."""
        if attention_mask is None:
            return ModelOutput(loss=sequence_loss(self.llama, input_ids, labels))
        prompt = Prompt(self.llama.get_input_embeddings()(input_ids), attention_mask)
        return ModelOutput(loss=self.token_losses(prompt, labels).sum() / (labels != IGNORED).sum())

    def prompt(self, inputs: BatchFeature) -> Prompt:
        """Embed the prompt's tokens."""
        return Prompt(self.llama.get_input_embeddings()(inputs["input_ids"]), inputs["attention_mask"])


def _with_tokens_of(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> dict[str, Any]:
    """Return a configuration with the tokenizer's special tokens; padding, which masks hide, may be any token."""
    config.pad_token_id = tokenizer.pad_token_id or 0
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    values: dict[str, Any] = config.to_dict()
    return values

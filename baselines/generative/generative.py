"""What all generative recommenders are: a prompt in, an item's ID out, token by token over a trie."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchFeature

from baselines.decoding.beams import Prompt
from baselines.decoding.decoder import TrieDecoder
from baselines.decoding.search import DECODERS, check_trie, search
from baselines.decoding.trie import Trie
from baselines.generative.one_step import one_step
from baselines.item_ids.item_tokens import ItemTokens
from models import forward_costs
from models.catalogue import Catalogue
from models.decoder import Decoder
from models.errors import UserError
from models.serving import Recommendations
from models.trainable import TrainableRecommender

BEAM_WIDTH = 20
"""Beams when nothing is said."""

IGNORED = -100
"""Label of padding."""


class Generative(TrainableRecommender):
    """A recommender whose `generator` writes item IDs.

    A subclass sets `items` when it is built or loaded, and turns requests into prompts; indexing,
    searching and the loss are here.

    Attributes:
        items: The catalogue's IDs as token sequences.

    """

    decoders: ClassVar[Mapping[str, Decoder]] = DECODERS
    items: ItemTokens | None = None
    _trie: Trie | None = None
    _indexed: ItemTokens | None = None

    @property
    @abstractmethod
    def generator(self) -> Any:
        """The transformers model that writes: an encoder-decoder, or a decoder alone, with its language-model head."""

    @abstractmethod
    def prompt(self, inputs: BatchFeature) -> Prompt:
        """Embed what `prepare` made."""

    def index(self, catalogue: Catalogue) -> None:
        """Build the trie over the items' token sequences.

        Raises:
            UserError: The catalogue is not the one whose items were numbered, an ID cannot be
                written, or `serving` asks for a decoder that there is not.

        """
        assert self.items is not None
        if self.serving.decoder not in (None, *self.decoders):
            names = ", ".join(self.decoders)
            raise UserError(f"{self.config.model_type} has no decoder {self.serving.decoder!r}: use one of {names}")
        self.items.check(catalogue)
        if self._trie is None or self._indexed is not self.items:  # or what was compiled for it would be lost
            self._trie, self._indexed = self.items.trie(), self.items
        check_trie(self._trie, self.generator.config.vocab_size)
        if self._decoder.has_beams and self._width > len(catalogue):
            warnings.warn(
                f"{self._width} beams over {len(catalogue)} items: lists end where the catalogue does", stacklevel=2
            )

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the trie."""
        return {} if self._trie is None else {"trie": self._trie.nbytes}

    @property
    def compiles(self) -> bool:
        """Whether the decoder does."""
        return self._decoder.compiles

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Search the trie as `serving` says; places beyond what was found hold `PADDING`.

        A beam search finds at most `serving.beam_width` items.
        """
        return self.found(self.prompt(inputs), inputs, k)

    def found(self, prompt: Prompt, inputs: BatchFeature, k: int) -> Recommendations:
        """Search for what users with these prompts take next; see `recommend`."""
        assert self._trie is not None, "index the catalogue first"
        beams = search(
            self._decoder.name,
            self.generator,
            prompt,
            self._trie,
            width=self._width if self._decoder.has_beams else k,
            scores=self.serving.scores,
            seen_items=inputs.get("seen_items"),
        )
        return beams.top(k)

    def cache_bytes(self, inputs: BatchFeature) -> int:
        """Return what the search of `recommend` holds at its end."""
        assert self._trie is not None, "index the catalogue first"
        decoder = self._decoder
        assert isinstance(decoder, TrieDecoder)
        return decoder.cache_bytes(self.generator, self.prompt(inputs), self._trie, self._width)

    @property
    def _decoder(self) -> Decoder:
        return self.decoders[self.serving.decoder or next(iter(self.decoders))]

    @property
    def _width(self) -> int:
        return self.serving.beam_width or BEAM_WIDTH

    def forward_pass(self, inputs: BatchFeature) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """Return the forward pass that chooses the first token of one beam."""
        return one_step(self.generator, self.prompt(inputs))

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the prompt's pass and the first token's logits."""
        users, places = self.prompt(inputs).mask.shape
        return forward_costs.first_token(self.generator.config, users, places)

    def token_losses(self, prompt: Prompt, labels: Tensor) -> Tensor:
        """Return the cross-entropy of each token of `labels` int64 [B, T], 0 where `IGNORED`, by teacher forcing."""
        generator = self.generator
        if generator.config.is_encoder_decoder:
            output = generator(
                inputs_embeds=prompt.embeddings,
                attention_mask=prompt.mask,
                decoder_input_ids=generator._shift_right(labels),  # noqa: SLF001 - transformers' own name for it
                use_cache=False,
            )
            logits = output.logits  # [B, T, V]
        else:
            logits = self._causal_logits(prompt, labels)
        losses: Tensor = functional.cross_entropy(
            logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
        )
        return losses

    def _causal_logits(self, prompt: Prompt, labels: Tensor) -> Tensor:
        """Run prompt and target as one sequence; logits [B, T, V] at the places before the target's tokens."""
        given = labels[:, :-1].clamp(min=0)  # the last token is predicted, never read
        embeddings = torch.cat([prompt.embeddings, self.generator.get_input_embeddings()(given)], dim=1)
        mask = torch.cat([prompt.mask, (labels[:, :-1] != IGNORED).long()], dim=1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        output = self.generator(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=labels.shape[1],
        )
        logits: Tensor = output.logits
        return logits

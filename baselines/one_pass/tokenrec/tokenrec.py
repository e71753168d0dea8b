"""TokenRec: users and items as codes in a prompt, answered by one vector that is compared with all items.

Qu et al. 2024 (arXiv 2406.10450), built from the description and from what the public code does
(github.com/Quhaoh233/TokenRec at 7669f69)::

    who took what ─▶ LightGCN ─▶ vectors ─▶ masked residual quantiser ─▶ codes of users and items        `pretrain`
    codes in a prompt ─▶ T5 encoder ─▶ T5 decoder over a fixed opening ─▶ projection ─▶ cosine with all items

Neither decoding steps nor beams: the decoder reads the same 20 tokens for everybody, and all of its states are
projected to one vector. LightGCN's item vectors and the codes stay as they are while T5 learns.

Differences: the code shuffles every history in training, so that it cannot learn an order, pads prompts to 512
tokens, computes what all users' decoders share for each of them, and masks the quantiser's input in place, which
spoils the first vector of each batch. Here histories keep their order, prompts are as long as they are, and `index`
computes what is shared. ``as_released=true`` shuffles, pads and shares nothing. The code names users that it was
trained with; others are asked about as ``a new user`` here, which some training prompts are about, too. ``loss=ce``
replaces the sampled negative by a softmax over all items.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchFeature, PreTrainedTokenizerBase, T5Config, T5Model
from transformers.utils.generic import ModelOutput

from baselines.collaborative.lightgcn import light_gcn
from baselines.item_ids.quantisation import Quantiser, quantise
from baselines.item_ids.words import WordEncoder
from baselines.one_pass.tokenrec.fixed_decoder import Opening, decode, saved
from baselines.one_pass.tokenrec.prompts import (
    NEWCOMER,
    NOTHING,
    OPENING,
    PROMPTS,
    SEEN,
    code_words,
    corpus,
    item_word,
    user_word,
)
from baselines.one_pass.tokenrec.settings import Loss, Settings, TokenRecConfig
from models import forward_costs, recommender
from models.backbones import Role, backbone_config, is_preset, pretrained_backbone
from models.catalogue import Catalogue, History
from models.dropout import quicken_dropout
from models.errors import UserError
from models.int8 import Int8Linear, Int8Rows
from models.losses import catalogue_cross_entropy
from models.origins import saved_tokenizer
from models.phases import phase
from models.ragged import pad
from models.ranking.inner_product import InnerProduct
from models.sequences import Cuts
from models.serving import SeenItems
from models.spoken import Spoken
from models.tokenizers import TOKENIZER, tokenizer_for, tokenizer_name
from models.trainable import Examples, TrainableRecommender

GRAPH_WIDTH, GRAPH_LAYERS = 64, 3
"""Size of the LightGCN."""

QUANTISED, MASKED, STEPS = (128, 256, 512), 0.2, 400
"""Widths of the quantiser's encoder, the share of values that it does not see in training, and steps of it at most."""

PLACES = 20
"""Tokens of the decoder's opening, padding included; nothing masks the padding, as in the code."""

HIDDEN, HEAD_DROPOUT = 256, 0.2
"""The projection's inner layer."""

PADDED = 512
"""Tokens of every prompt as released."""


class TokenRec(InnerProduct, TrainableRecommender):
    """See the module's docstring. Shapes: B users, S prompt tokens, T places of the decoder, n items.

    Attributes:
        item_vectors: LightGCN's, of unit length, [n + 1, 64]; row 0 belongs to padding.
        item_codes: int64 [n + 1, books].
        user_codes: int64 [U, books]; -1 where a user has none.
        opening: What the decoder reads, int64 [T].
        head: The projection.

    """

    settings_type = Settings
    spoken = Spoken("TokenRec")
    config_class = TokenRecConfig
    config: TokenRecConfig
    item_vectors: Tensor
    item_codes: Tensor
    user_codes: Tensor
    opening: Tensor
    head: nn.Sequential
    rounded: Int8Linear | None
    _opening: Opening | None = None
    _encoder: WordEncoder | None = None
    _tokenizer: PreTrainedTokenizerBase | None = None
    _words: tuple[list[str], list[str]] | None = None

    def __init__(self, config: TokenRecConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        self.t5 = T5Model(T5Config(**config.t5))
        quicken_dropout(self.t5)
        width = self.t5.config.d_model * len(config.opening)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(width, HIDDEN), nn.Dropout(HEAD_DROPOUT), nn.ReLU(), nn.Linear(HIDDEN, GRAPH_WIDTH)
        )
        books = self.settings.codebooks
        self.register_buffer("item_vectors", torch.zeros(config.items + 1, GRAPH_WIDTH))
        self.register_buffer("item_codes", torch.zeros(config.items + 1, books, dtype=torch.int64))
        self.register_buffer("user_codes", torch.zeros(config.users, books, dtype=torch.int64))
        self.register_buffer("opening", torch.tensor(config.opening))
        self.rounded = None
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make a T5 of seeded random or pretrained weights; vectors and codes are random until `pretrain`.

        Raises:
            UserError: `settings.preset` is no T5 or cannot be loaded.

        """
        assert isinstance(settings, Settings)
        words = code_words(settings.codebooks, settings.codebook_size)
        tokenizer = tokenizer_for(
            settings.preset,
            lambda: corpus([item.text for item in catalogue.items]),
            vocab_size=settings.vocab_size,
            words=words,
        )
        users = sorted({history.user for history in histories if history.items})
        t5 = _t5_config(settings, len(tokenizer))
        config = TokenRecConfig(
            settings=settings.model_dump(mode="json"),
            t5=t5.to_dict(),
            items=len(catalogue),
            users=max(users, default=0) + 1,
            opening=_opening_tokens(tokenizer, t5),
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(settings.preset):
                model._load_pretrained(settings.preset)
            nn.init.normal_(model.item_vectors[1:])
            model.item_codes.random_(settings.codebook_size)
            model.user_codes.fill_(-1)
            model.user_codes[users] = torch.randint(settings.codebook_size, (len(users), settings.codebooks))
        model._normalise()
        model._adopt(tokenizer)
        return model

    def _normalise(self) -> None:
        self.item_vectors.copy_(functional.normalize(self.item_vectors, dim=1))

    def pretrain(self, histories: Sequence[History]) -> None:
        """Train LightGCN and the quantisers of its vectors, on the CPU."""
        seed, users = self.settings.seed, (self.user_codes[:, 0] >= 0).nonzero()[:, 0].cpu()
        with torch.autocast("cpu", enabled=False), torch.random.fork_rng():
            torch.manual_seed(seed)
            graph = light_gcn(histories, self.config.items, width=GRAPH_WIDTH, layers=GRAPH_LAYERS, seed=seed)
            self.item_vectors.copy_(graph.items)
            self.item_codes[1:] = _codes(graph.items[1:], self.settings).to(self.item_codes.device)
            self.user_codes[users] = _codes(graph.users[users], self.settings).to(self.user_codes.device)
        self._normalise()
        self._words = None

    def _load_pretrained(self, name: str) -> None:
        """Load pretrained weights, with fresh rows for the codes."""
        pretrained = pretrained_backbone(name, Role.ENCODER_DECODER)
        pretrained.resize_token_embeddings(self.t5.config.vocab_size)
        weights = {name: value for name, value in pretrained.state_dict().items() if not name.startswith("lm_head")}
        self.t5.load_state_dict(weights)

    def _adopt(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer, self._encoder = tokenizer, WordEncoder(tokenizer)

    @property
    def tokenizer_name(self) -> str | None:
        """Where the tokenizer of the prompts comes from."""
        return tokenizer_name(self._tokenizer, self.settings.preset)

    def request(self, prompt: str, history: History, *, named: bool = True) -> list[int]:
        """Fill and tokenise a prompt with the newest items of a history.

        Args:
            prompt: One of `PROMPTS`.
            history: Events of the user who asks.
            named: Whether the user's codes may be told.

        """
        assert self._encoder is not None
        if self._words is None:
            items = [item_word(codes) for codes in self.item_codes.tolist()]
            users = [user_word(codes) if codes[0] >= 0 else NEWCOMER for codes in self.user_codes.tolist()]
            self._words = items, users
        items, users = self._words
        told = " ".join(items[item] for item in history.items[-self.settings.max_history :])
        user = users[history.user] if named and history.user < len(users) else NEWCOMER
        return self._encoder(prompt.format(user=user, items=told or NOTHING)).tokens

    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut histories into one example for each item that has another before it."""
        return PromptExamples(self, histories)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad prompts on the right; ``labels`` int64 [B] are item numbers."""
        batch = self._pad([example["prompt"] for example in examples])
        return batch | {"labels": torch.tensor([example["labels"] for example in examples])}

    def _pad(self, prompts: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        mask, tokens = pad([[1] * len(prompt) for prompt in prompts]), pad(prompts)
        missing = max(0, PADDED - tokens.shape[1]) if self.settings.as_released else 0
        return {
            "input_ids": functional.pad(tokens, (0, missing)),
            "attention_mask": functional.pad(mask, (0, missing)),
        }

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> ModelOutput:
        """Return the mean loss of a batch of prompts [B, S] whose next items are `labels` [B]."""
        query = self.head(self._plain_states(input_ids, attention_mask))
        if self.settings.loss is Loss.CE:
            turned = functional.normalize(query, dim=1) / self.settings.temperature
            return ModelOutput(loss=catalogue_cross_entropy(turned, self.item_vectors[1:], labels - 1))
        drawn = torch.randint_like(labels, 1, max(2, self.config.items))
        negatives = drawn + (drawn >= labels)  # all items but the label are as likely
        pairs = torch.cat([labels, negatives.clamp(max=self.config.items)])
        signs = torch.ones_like(pairs)
        signs[len(labels) :] = -1
        loss = functional.cosine_embedding_loss(query.repeat(2, 1).float(), self.item_vectors[pairs].float(), signs)
        return ModelOutput(loss=loss)

    def _plain_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Run encoder and decoder as they are; [B, T, D]."""
        states: Tensor = self.t5(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=self.opening.expand(len(input_ids), -1),
            use_cache=False,
        ).last_hidden_state
        return states

    def index(self, catalogue: Catalogue) -> None:
        """Compute what the decoders of all users have in common.

        Raises:
            UserError: The catalogue is not as large as the one trained on.

        """
        if len(catalogue) != self.config.items:
            raise UserError(
                f"tokenrec has codes of {self.config.items} items and {catalogue.name} has {len(catalogue)}: "
                "train it on this dataset, loaded with the same options"
            )
        training = self.training
        self.eval()
        self._opening = None if self.settings.as_released else Opening.of(self.t5.decoder, self.opening)
        self.train(training)
        self.rebuild()

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of what the decoders have in common; the item vectors are weights."""
        opening = {} if self._opening is None else {"decoder opening": self._opening.nbytes}
        return opening | super().index_parts

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Fill the serving prompt, tokenise and pad; with seen items removed also ``seen_items`` [B, H]."""
        prompt = PROMPTS[self.settings.prompt]
        batch = self._pad([self.request(prompt, history) for history in histories])
        if self.serving.seen is SeenItems.REMOVE:
            batch["seen_items"] = pad([history.items for history in histories])
        return BatchFeature(batch)

    @property
    def ranked_rows(self) -> tuple[Tensor | Int8Rows, None]:
        """Return the item vectors, in float or rounded, [n + 1, 64], without a bias."""
        return self.item_vectors if self.rounded is None else self.rounded.weight, None

    def encoding(self) -> AbstractContextManager[object]:
        """Mark nothing: `query_of` marks its steps."""
        return nullcontext()

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return what items are compared with, of unit length, [B, 64]."""
        tokens, mask = inputs["input_ids"], inputs["attention_mask"]
        with phase("encode"):
            context = self.t5.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        with phase("decode"):
            if self._opening is None:
                start = self.opening.expand(len(tokens), -1)
                states = self.t5.decoder(
                    input_ids=start, encoder_hidden_states=context, encoder_attention_mask=mask, use_cache=False
                ).last_hidden_state
            else:
                states = decode(self.t5.decoder, self._opening, context, mask.bool())
        with phase("project"):
            return functional.normalize(self.head(states), dim=1)

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up encoder, decoder less what is shared, projection and the scores of all items."""
        (users, places), config, opening = inputs["input_ids"].shape, self.t5.config, len(self.config.opening)
        read = forward_costs.t5_encoder(config, users, places)
        written = forward_costs.t5_decoder(config, users, opening, places)
        written -= 0 if self._opening is None else saved(config, users, opening)
        projected = forward_costs.products(users, (opening * config.d_model, HIDDEN), (HIDDEN, GRAPH_WIDTH))
        return forward_costs.total(read, written, projected, self.ranking_flops(users))

    def round_weights(self) -> None:
        """Round the item vectors, too."""
        super().round_weights()
        self.rounded = Int8Linear(self.item_vectors, None)

    def save_assets(self, folder: Path) -> None:
        """Save the tokenizer."""
        assert self._tokenizer is not None
        self._tokenizer.save_pretrained(folder / TOKENIZER)

    def load_assets(self, folder: Path) -> None:
        """Load the tokenizer."""
        self._adopt(saved_tokenizer(folder / TOKENIZER))


class PromptExamples(Cuts):
    """Every training item with what came before it, under a seen prompt drawn from torch's generator.

    Args:
        model: Fills and tokenises the prompts.
        histories: Training histories; those with one item yield nothing.

    """

    def __init__(self, model: TokenRec, histories: Sequence[History]) -> None:
        super().__init__(histories, model.settings.max_history)
        self._model = model

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example: ``prompt`` as tokens, and ``labels``, the next item."""
        before, following = self.cut(number)
        prompt = SEEN[int(torch.randint(len(SEEN), ()))]
        named = float(torch.rand(())) >= self._model.settings.newcomers
        if self._model.settings.as_released:
            order = torch.randperm(len(before.items)).tolist()
            before = History(before.user, tuple(before.items[place] for place in order))
        return {"prompt": self._model.request(prompt, before, named=named), "labels": following}


def _codes(vectors: Tensor, settings: Settings) -> Tensor:
    """Quantise vectors [N, 64]; int64 [N, books]."""
    codes = quantise(
        vectors.numpy(),
        Quantiser.RQ_VAE,
        levels=settings.codebooks,
        size=settings.codebook_size,
        widths=QUANTISED,
        masked=MASKED,
        steps=STEPS,
    )
    return torch.from_numpy(codes)


def _t5_config(settings: Settings, tokens: int) -> T5Config:
    name = settings.preset
    config = backbone_config(name, dropout_rate=settings.dropout)
    if not isinstance(config, T5Config):
        raise UserError(f"tokenrec needs a T5 backbone, and {name!r} is a {config.model_type}: use compact or t5-small")
    config.vocab_size = tokens if is_preset(name) else max(tokens, config.vocab_size)
    return config


def _opening_tokens(tokenizer: PreTrainedTokenizerBase, config: T5Config) -> list[int]:
    """Return the decoder's tokens: a start, the opening with its end, padding."""
    tokens = [config.decoder_start_token_id, *WordEncoder(tokenizer)(OPENING).tokens][:PLACES]
    return [*tokens, *[config.pad_token_id] * (PLACES - len(tokens))]

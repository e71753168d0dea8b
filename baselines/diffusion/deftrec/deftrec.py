"""DeftRec: a prompt of continuous tokens, an answer in words, and a diffusion from the answer to an item's vector.

Qu et al. 2025 (arXiv 2504.12007 v1), built from the description and from what the public code does
(github.com/Quhaoh233/DeftRec at f29f02a)::

    who took what ─▶ LightGCN ─▶ vectors ─▶ MLPs ─▶ K tokens an item               `pretrain`, `index`
    prompt with such tokens ─▶ Llama, greedy, 32 tokens of text at most            encode, decode step i
    mean of the text's embeddings ─▶ 100 steps of a diffusion ─▶ a vector          diffusion step i
    the items whose vectors are nearest                                            rank

Two ways to search, with the same weights: decoder ``ddpm`` takes the noise away in 100 steps; ``guided``, that of its
successor (ContRec, arXiv 2504.12007 v3, github.com/Quhaoh233/ContRec at fb09d68), does so in 200 steps, each of which
asks the network with and without the condition. Noise is drawn once from the seed and is the same for all users, so
that lists repeat.

Differences: the code trains 1,000 steps of noise and samples the first 100 of them, which hold next to none, from pure
noise; it masks values of the items' vectors at inference too and in place, so that lists change from call to call and
the first item of each history is lost; it pads prompts to 1,024 tokens and draws one of ten at the test. Here the 100
steps are spaced over all, masks belong to training, prompts are as long as they are and one serves.
``as_released=true`` samples, masks (by one mask, drawn from the seed), loses and pads as the code does, and transforms
the condition anew at each step. Vectors are scaled to variance 1 and the condition is normalised, as a diffusion wants
it. Words are those of categories and titles; the code's bonus for matching words is off in its default and left out.
Llama is trained whole, and not by LoRA in four bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchFeature, PretrainedConfig
from transformers import initialization as init
from transformers.utils.generic import ModelOutput

from baselines.collaborative.lightgcn import light_gcn
from baselines.decoding import cache_size
from baselines.decoding.beams import Prompt
from baselines.decoding.greedy import greedy
from baselines.diffusion.deftrec.continuous_tokens import MASKED, ContinuousTokens
from baselines.diffusion.deftrec.denoising import Denoiser, Sampler
from baselines.diffusion.deftrec.prompts import NOTHING, PROMPTS, SEEN, answers, titles, token_words
from baselines.diffusion.deftrec.settings import DeftRecConfig, Settings
from baselines.diffusion.deftrec.texts import Texts
from models import forward_costs, recommender
from models.backbones import Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.decoder import Decoder
from models.errors import UserError
from models.item_scored import check_size
from models.item_vectors import as_config
from models.named import by_name
from models.phases import phase
from models.ragged import pad
from models.ranking.exact import EveryItem, rank_items
from models.sequences import Cuts
from models.serving import Recommendations, SeenItems
from models.spoken import Spoken
from models.tokenizers import tokenizer_for, tokenizer_name
from models.trainable import Examples, TrainableRecommender

BACKBONES = {"compact": "compact-llama"}
"""Which Llama goes with a preset; the preset itself where nothing is said."""

COMPACT = {"vectors": 64, "hidden": 256}
PUBLISHED = {"vectors": 512, "hidden": 512}
"""Widths of LightGCN's vectors and of the denoiser's inner layers."""

GRAPH_LAYERS = 3

DDPM = Decoder("ddpm", "greedy text, then a diffusion", has_beams=False)
GUIDED = Decoder("guided", "greedy text, then a guided diffusion", has_beams=False)

STEPS, GUIDED_STEPS, GUIDANCE = 100, 200, 2.0

PADDED = 1024
"""Tokens of every prompt as released."""

IGNORED = -100
"""Label of padding."""


class DeftRec(TrainableRecommender):
    """See the module's docstring. Shapes: B users, S prompt tokens, K tokens an item, D width, d of vectors, n items.

    Attributes:
        item_vectors: LightGCN's, centred and of variance 1, [n + 1, d]; row 0 belongs to padding and is 0.
        item_tokens: [n + 1, K, D]; made by `index`.
        noise: What diffusions begin with and add, [steps, d]; made by `index`.
        half_lengths: Half the squared length of each vector, negative, [n + 1]; made by `index`.

    """

    settings_type = Settings
    spoken = Spoken("DeftRec")
    decoders = by_name(DDPM, GUIDED)
    config_class = DeftRecConfig
    config: DeftRecConfig
    item_vectors: Tensor
    item_tokens: Tensor | None
    noise: Tensor | None
    half_lengths: Tensor | None
    texts: Texts | None = None

    def __init__(self, config: DeftRecConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        backbone = as_config(config.backbone)
        sizes = COMPACT if self.settings.preset in BACKBONES else PUBLISHED
        self.backbone: Any = new_backbone(backbone, Role.DECODER_ONLY)
        self.make_tokens = ContinuousTokens(sizes["vectors"], backbone.hidden_size, self.settings.tokens)
        self.denoiser = Denoiser(sizes["vectors"], backbone.hidden_size, sizes["hidden"])
        self.no_condition = nn.Parameter(torch.zeros(backbone.hidden_size))
        self.register_buffer("item_vectors", torch.zeros(config.items + 1, sizes["vectors"]))
        for name in ("item_tokens", "noise", "half_lengths"):
            self.register_buffer(name, None, persistent=False)
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make seeded random weights or pretrained ones; item vectors are random until `pretrain`.

        Raises:
            UserError: `settings.preset` is no decoder alone, or cannot be loaded.

        """
        del histories
        assert isinstance(settings, Settings)
        name = BACKBONES.get(settings.preset, settings.preset)
        told = answers(catalogue)
        corpus = [*told, *(prompt.format(items=NOTHING) for prompt in PROMPTS)]
        words = token_words(settings.tokens)
        tokenizer = tokenizer_for(name, lambda: corpus, vocab_size=settings.vocab_size, words=words)
        texts = Texts(tokenizer, titles(catalogue), told, settings.tokens)
        backbone = _backbone_config(name, len(tokenizer))
        config = DeftRecConfig(
            settings=settings.model_dump(mode="json"),
            backbone=backbone.to_dict(),
            items=len(catalogue),
            first_token=texts.first,
            end=texts.end,
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(name):
                pretrained = pretrained_backbone(name, Role.DECODER_ONLY)
                pretrained.resize_token_embeddings(backbone.vocab_size)
                model.backbone.load_state_dict(pretrained.state_dict())
            nn.init.normal_(model.item_vectors[1:])
        model.texts = texts
        return model

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):  # of tokens and denoiser: backbones start as their families do
            init.normal_(module.weight, std=module.in_features**-0.5)
            init.zeros_(module.bias)

    def pretrain(self, histories: Sequence[History]) -> None:
        """Train LightGCN, on the CPU."""
        width = self.item_vectors.shape[1]
        with torch.autocast("cpu", enabled=False):
            vectors = light_gcn(
                histories, self.config.items, width=width, layers=GRAPH_LAYERS, seed=self.settings.seed
            ).items[1:]
        centred = vectors - vectors.mean(0)
        self.item_vectors[1:] = (centred / centred.std().clamp(min=1e-6)).to(self.item_vectors.device)

    @property
    def tokenizer_name(self) -> str | None:
        """Where the tokenizer of prompts and answers comes from."""
        assert self.texts is not None
        return tokenizer_name(self.texts.tokenizer, BACKBONES.get(self.settings.preset, self.settings.preset))

    def request(self, template: str, history: History) -> tuple[list[int], list[int]]:
        """Fill and tokenise a prompt with the newest items of a history.

        Returns:
            Tokens, and beside each the item whose continuous token takes its place, 0 where a word stays. As released,
            the first item is lost: its tokens are those of a vector of zeros.

        """
        assert self.texts is not None
        newest = history.items[-self.settings.max_history :]
        tokens, places = self.texts.prompt(template, newest, titles=self.settings.titles)
        items = [0, 0 if self.settings.as_released else newest[0], *newest[1:]] if newest else [0]
        return tokens, [items[place] for place in places]

    def answer(self, item: int) -> list[int]:
        """Return the tokens that name an item, the end last."""
        assert self.texts is not None
        return self.texts.answer(item, self.settings.new_tokens)

    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut histories into one example for each item that has another before it."""
        return PromptExamples(self, histories)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad prompts on the left, ``answers`` [B, A] on the right; ``labels`` int64 [B] are item numbers."""
        batch = self._pad([example["prompt"] for example in examples])
        batch["answers"] = pad([example["answer"] for example in examples], value=IGNORED)
        return batch | {"labels": torch.tensor([example["labels"] for example in examples])}

    def _pad(self, prompts: Sequence[tuple[list[int], list[int]]]) -> dict[str, Tensor]:
        """Stack prompts: ``input_ids``, ``numbers`` (of items), ``attention_mask``, int64 [B, S]."""
        columns = {
            "input_ids": [tokens for tokens, _ in prompts],
            "numbers": [numbers for _, numbers in prompts],
            "attention_mask": [[1] * len(tokens) for tokens, _ in prompts],
        }
        batch = {name: pad(rows, left=True) for name, rows in columns.items()}
        missing = max(0, PADDED - batch["input_ids"].shape[1]) if self.settings.as_released else 0
        return {name: functional.pad(rows, (missing, 0)) for name, rows in batch.items()}

    def forward(
        self, input_ids: Tensor, numbers: Tensor, attention_mask: Tensor, answers: Tensor, labels: Tensor
    ) -> ModelOutput:
        """Return the answer's cross-entropy and the diffusion's error, weighted, for next items `labels` [B]."""
        embed, clean = self.backbone.get_input_embeddings(), self.item_vectors[labels]
        prompt = self._embed(input_ids, self.make_tokens(self.item_vectors[numbers]))
        said = embed(answers.clamp(min=0))  # [B, A, D]
        mask = torch.cat([attention_mask, (answers[:, :-1] != IGNORED).long()], dim=1)
        logits = self.backbone(
            inputs_embeds=torch.cat([prompt, said[:, :-1].to(prompt.dtype)], dim=1),
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            use_cache=False,
            logits_to_keep=answers.shape[1],
        ).logits
        text = functional.cross_entropy(logits.float().transpose(1, 2), answers, ignore_index=IGNORED)
        condition = _mean(said, answers != IGNORED)
        alone = torch.rand(len(labels), 1, device=labels.device) < self.settings.unconditional
        condition = torch.where(alone, self.no_condition, condition)
        others = self.item_vectors[torch.randint_like(labels, 1, self.config.items + 1)]
        time = torch.randint(len(self.denoiser.kept), labels.shape, device=labels.device)
        noise, told = torch.randn_like(clean), self.denoiser.tell(condition)
        right, wrong = (
            (self.denoiser(self.denoiser.noised(vectors, noise, time), told, time) - noise).float().square().mean(1)
            for vectors in (clean, others)
        )
        error = right.mean() + self.settings.contrast * functional.softplus(right - wrong).mean()
        return ModelOutput(loss=self.settings.text_weight * text + error)

    def index(self, catalogue: Catalogue) -> None:
        """Make the tokens of all items, and draw the noise.

        Raises:
            UserError: The catalogue is not as large as the one trained on, or `serving` asks for a decoder that there
                is not.

        """
        if self.serving.decoder not in (None, *self.decoders):
            raise UserError(f"deftrec has no decoder {self.serving.decoder!r}: use one of {', '.join(self.decoders)}")
        check_size(self.config, catalogue)
        generator = torch.Generator().manual_seed(self.settings.seed)
        vectors, training = self.item_vectors, self.training
        drawn = torch.randn(self._sampler.steps, vectors.shape[1], generator=generator)
        kept = torch.rand(vectors.shape[1], generator=generator) >= MASKED
        with torch.no_grad():
            self.eval()
            read = vectors * kept.to(vectors) if self.settings.as_released else vectors
            self.item_tokens = self.make_tokens(read)
            self.train(training)
            self.noise = drawn.to(vectors)
            self.half_lengths = -vectors.square().sum(1) / 2

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the items' tokens, of the noise, and of the lengths of vectors; the vectors are weights."""
        parts = {"item tokens": self.item_tokens, "noise": self.noise, "item lengths": self.half_lengths}
        return {name: part.nbytes for name, part in parts.items() if part is not None}

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Fill the serving prompt, tokenise and pad; with seen items removed also ``seen_items`` [B, H]."""
        prompt = PROMPTS[self.settings.prompt]
        batch = self._pad([self.request(prompt, history) for history in histories])
        if self.serving.seen is SeenItems.REMOVE:
            batch["seen_items"] = pad([history.items for history in histories])
        return BatchFeature(batch)

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Write an answer, make a vector of it, and rank by how near items are: half the squared distance, negative."""
        tokens = greedy(self.backbone, self.prompt(inputs), limit=self.settings.new_tokens, end=self.config.end)
        return self.nearest(tokens, inputs.get("seen_items"), k)

    def prompt(self, inputs: BatchFeature) -> Prompt:
        """Embed what `prepare` made."""
        assert self.item_tokens is not None, "index the catalogue first"
        read = self.item_tokens[inputs["numbers"]]  # [B, S, K, D]
        return Prompt(self._embed(inputs["input_ids"], read), inputs["attention_mask"])

    def _embed(self, input_ids: Tensor, item_tokens: Tensor) -> Tensor:
        """Put continuous tokens [B, S, K, D] where they stand for words; [B, S, D]."""
        words: Tensor = self.backbone.get_input_embeddings()(input_ids)
        place = input_ids - self.config.first_token
        here = (place >= 0) & (place < self.settings.tokens)
        chosen = place.clamp(0, self.settings.tokens - 1)[:, :, None, None].expand(-1, -1, 1, words.shape[-1])
        return torch.where(here[:, :, None], item_tokens.gather(2, chosen)[:, :, 0].to(words.dtype), words)

    def nearest(self, tokens: Tensor, seen_items: Tensor | None, k: int) -> Recommendations:
        """Make a vector of each answer, int64 [B, T], and rank items by how near they are to it."""
        assert self.noise is not None, "index the catalogue first"
        first = (tokens == self.config.end).long().cumsum(1) - (tokens == self.config.end).long() == 0  # up to an end
        condition = _mean(self.backbone.get_input_embeddings()(tokens), first)
        vector = self.denoiser.sample(
            condition, self.no_condition, self.noise, self._sampler, told_once=not self.settings.as_released
        )
        with phase("rank"):
            ranked = rank_items(vector, self.item_vectors, k, seen_items, self.half_lengths)
            return Recommendations(ranked.items, ranked.scores - vector.float().square().sum(1, keepdim=True) / 2)

    @property
    def _sampler(self) -> Sampler:
        if self.serving.decoder == GUIDED.name:
            return Sampler(GUIDED_STEPS, GUIDANCE)
        return Sampler(STEPS, first_steps=self.settings.as_released)

    def cache_bytes(self, inputs: BatchFeature) -> int:
        """Return the bytes of keys and values of the prompt and of the longest answer."""
        return cache_size.of_one_text(self.backbone, self.prompt(inputs), self.settings.new_tokens)

    def forward_pass(self, inputs: BatchFeature) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """Return the pass that answers with one word and makes a vector of it."""
        prompt = self.prompt(inputs)
        return OneWord(self), (prompt.embeddings, prompt.mask)

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the prompt's pass, the first word's logits, the diffusion's steps, and the scores of all items."""
        users, places = inputs["input_ids"].shape
        written = forward_costs.first_token(self.backbone.config, users, places)
        if written is None:
            return None
        made = self.denoiser.cost(users, self._sampler, told_once=not self.settings.as_released)
        return written + made + EveryItem(self.item_vectors, None).flops(users, 1)

    def save_assets(self, folder: Path) -> None:
        """Save tokenizer, titles and answers."""
        assert self.texts is not None
        self.texts.save(folder)

    def load_assets(self, folder: Path) -> None:
        """Load them."""
        self.texts = Texts.load(folder, items=self.config.items, tokens=self.settings.tokens)


class OneWord(nn.Module):
    """A DeftRec whose answer is one token.

    Args:
        model: The DeftRec.

    """

    def __init__(self, model: DeftRec) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return the nearest item of each prompt [B, S, D] with its mask [B, S]; int64 [B, 1]."""
        logits = self.model.backbone(
            inputs_embeds=embeddings, attention_mask=mask, use_cache=False, logits_to_keep=1
        ).logits
        return self.model.nearest(logits.argmax(2), None, 1).items


class PromptExamples(Cuts):
    """Every training item with what came before it, under a seen prompt drawn from torch's generator.

    Args:
        model: Fills and tokenises the prompts.
        histories: Training histories; those with one item yield nothing.

    """

    def __init__(self, model: DeftRec, histories: Sequence[History]) -> None:
        super().__init__(histories, model.settings.max_history)
        self._model = model

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example: ``prompt``, ``answer`` as tokens, and ``labels``, the next item."""
        before, following = self.cut(number)
        prompt = SEEN[int(torch.randint(len(SEEN), ()))]
        model = self._model
        return {"prompt": model.request(prompt, before), "answer": model.answer(following), "labels": following}


def _mean(states: Tensor, real: Tensor) -> Tensor:
    """Average states [B, T, D] over real places [B, T], and normalise; [B, D]."""
    weights = real[:, :, None].to(states.dtype)
    return functional.layer_norm((states * weights).sum(1) / weights.sum(1), states.shape[-1:])


def _backbone_config(name: str, tokens: int) -> PretrainedConfig:
    config = backbone_config(name)
    if config.is_encoder_decoder or not hasattr(config, "num_hidden_layers"):
        raise UserError(
            f"deftrec needs a decoder alone, and {name!r} is a {config.model_type}: use compact or llama-small"
        )
    config.vocab_size = tokens if is_preset(name) else max(tokens, config.vocab_size)
    config.pad_token_id = None
    return config

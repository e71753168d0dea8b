"""Small random models, tries and prompts, and a beam search in plain Python that recomputes everything."""

import random

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from baselines.decoding.beams import Prompt
from models.serving import Scores

END = 1
VOCABULARY = 40
FAMILIES = ("t5", "llama", "qwen3")
WIDTH = {"t5": 16, "llama": 32, "qwen3": 32}


def model(family, seed=0, *, dtype=torch.float64, positions=128, layers=2, decoder_layers=None):
    """A few layers of random weights, scaled away from flat distributions."""
    torch.manual_seed(seed)
    if family == "t5":
        config = T5Config(
            vocab_size=VOCABULARY,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=layers,
            num_decoder_layers=decoder_layers,
            num_heads=2,
            decoder_start_token_id=0,
            dropout_rate=0.0,
        )
        built, scale = T5ForConditionalGeneration(config), 2.0
    else:
        kind, config_type = {"llama": (LlamaForCausalLM, LlamaConfig), "qwen3": (Qwen3ForCausalLM, Qwen3Config)}[family]
        config = config_type(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=END,
            tie_word_embeddings=False,
            max_position_embeddings=positions,
        )
        built, scale = kind(config), 8.0
    with torch.no_grad():
        for weights in built.parameters():
            if family == "t5" or weights.dim() > 1:
                weights.mul_(scale)
    return built.to(dtype).eval()


def sequences(rng, kind):
    """Item IDs: of equal length, with or without end of sequence, or of unequal length, some behind a common stem."""
    stem = tuple(rng.randint(2, VOCABULARY - 1) for _ in range(rng.choice([0, 0, 2])))
    found = set()
    for _ in range(rng.randint(5, 60)):
        length = rng.randint(1, 5) if kind == "unequal" else 3
        found.add(stem + tuple(rng.randint(2, 12) for _ in range(length)))
    ordered = sorted(found)
    rng.shuffle(ordered)
    return [one if kind == "no end" else (*one, END) for one in ordered]


def prompts(family, users, seed=0, *, dtype=torch.float64, length=9):
    """Prompts of unequal length, padded on the side that the family wants."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(users, length, dtype=torch.int64)
    for row, missing in enumerate(torch.randint(length, (users,), generator=generator).tolist()):
        place = slice(length - missing, length) if family == "t5" else slice(0, missing)
        mask[row, place] = 0
    return Prompt(torch.randn(users, length, WIDTH[family], generator=generator, dtype=dtype), mask)


def seen_by(rng, users, items):
    """A random number of seen items a user, some twice, some places empty."""
    return torch.tensor([[rng.randint(0, items) for _ in range(items // 2 + 1)] for _ in range(users)])


def next_logits(built, prompt, user, prefix):
    """Logits after `prefix` for one user, from the whole sequence and no cache."""
    keep = prompt.mask[user].bool()
    embeddings = prompt.embeddings[user, keep][None]
    if built.config.is_encoder_decoder:
        tokens = torch.tensor([[0, *prefix]])
        return built(inputs_embeds=embeddings, decoder_input_ids=tokens).logits[0, -1].float()
    given = built.get_input_embeddings()(torch.tensor([prefix], dtype=torch.int64))
    return built(inputs_embeds=torch.cat([embeddings, given], dim=1)).logits[0, -1].float()


def slow_search(built, prompt, ids, *, width, scores, seen=None):
    """Ranked (item, score) pairs of each user by a beam search of lists and dictionaries."""
    return [_slow_user(built, prompt, user, ids, width, scores, seen) for user in range(len(prompt))]


def _slow_user(built, prompt, user, ids, width, scores, seen):
    hidden = set() if seen is None else set(seen[user].tolist())
    left = {sequence: item for item, sequence in enumerate(ids, 1) if item not in hidden}
    running, finished = [((), 0.0)], []
    while running and left:
        candidates = []
        for prefix, total in running:
            allowed = sorted({one[len(prefix)] for one in left if one[: len(prefix)] == prefix})
            logits = next_logits(built, prompt, user, prefix)
            if scores is Scores.RENORMALISED:
                chances = dict(zip(allowed, logits[allowed].log_softmax(-1).tolist(), strict=True))
            else:
                chances = logits.log_softmax(-1)
            candidates += [((*prefix, token), total + float(chances[token])) for token in allowed]
        best = sorted(candidates, key=lambda one: -one[1])[: 2 * width]
        finished += [(left[prefix], total) for prefix, total in best[:width] if prefix in left]
        running = [one for one in best if one[0] not in left][:width]
    return sorted(finished, key=lambda one: -one[1])[:width]


def rng(seed):
    """A seeded generator."""
    return random.Random(seed)

"""Tokenizers: the backbone's own where it can be loaded, else one trained on the data's text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as algorithms
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from models.backbones import is_preset
from models.errors import UserError
from models.origins import origin

PAD, EOS, UNKNOWN = "<pad>", "</s>", "<unk>"
"""Tokens 0, 1 and 2, as in T5."""

TOKENIZER = "tokenizer"
"""Subfolder of a checkpoint that holds the tokenizer's files."""


def tokenizer_for(
    backbone: str, texts: Callable[[], Iterable[str]], *, vocab_size: int = 8192, words: Iterable[str] = ()
) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a pretrained backbone, or train one for a preset.

    Presets have no tokenizer of their own, so byte-pair encoding is trained on `texts`. It splits at
    spaces and marks word beginnings as SentencePiece does, and appends ``</s>`` as T5 does.

    Args:
        backbone: As `backbone_config` takes it.
        texts: Makes the corpus; called only when a tokenizer is trained.
        vocab_size: Upper bound of a trained vocabulary.
        words: Words that must be one token each.

    Raises:
        UserError: `backbone` is no preset and has no tokenizer that can be loaded.

    """
    if is_preset(backbone):
        return train_tokenizer(texts(), vocab_size=vocab_size, words=words)
    try:
        place, how = origin(backbone)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, **how)
    except UserError:
        raise
    except Exception as error:  # a configuration may hold anything, and transformers checks little of it
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"no tokenizer can be loaded for backbone {backbone!r} ({reason}): use a preset") from error
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    return tokenizer


def tokenizer_name(tokenizer: PreTrainedTokenizerBase | None, backbone: str) -> str | None:
    """Say where the tokenizer of `backbone` comes from; None for none."""
    if tokenizer is None:
        return None
    return f"trained on the data, {len(tokenizer):,} tokens" if is_preset(backbone) else f"{backbone}'s"


def train_tokenizer(texts: Iterable[str], *, vocab_size: int, words: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """Train byte-pair encoding (Sennrich et al. 2016) on `texts`; the same texts give the same tokenizer.

    Pairs are merged by frequency, so the words that every prompt repeats become one token each.
    """
    tokenizer = Tokenizer(algorithms.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=[PAD, EOS, UNKNOWN], show_progress=False)
    )
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token=UNKNOWN, name_or_path="trained-on-data"
    )

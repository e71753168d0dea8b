"""Recommenders by name, loaded only when asked for.

Adding one is a file and a line in `REGISTRY`. Third parties add theirs with an entry point in the
group ``lite_llm4rec_bench.recommenders``, or name a class directly as ``package.module:Class``.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points

from models.errors import UserError
from models.recommender import Recommender

ENTRY_POINTS = "lite_llm4rec_bench.recommenders"


@dataclass(frozen=True)
class RegistryEntry:
    """A registered recommender: where its class is, and one line about it."""

    path: str
    summary: str


REGISTRY: dict[str, RegistryEntry] = {
    "popularity": RegistryEntry("baselines.one_pass.popularity:Popularity", "items by training count: the floor"),
    "shortcut": RegistryEntry(
        "baselines.one_pass.shortcut:Shortcut", "transitions of the last items and TF-IDF, no training"
    ),
    "sasrec": RegistryEntry("baselines.one_pass.sasrec:SASRec", "causal self-attention over item IDs"),
    "pad": RegistryEntry("baselines.one_pass.pad:Pad", "towers of ids, aligned vectors and texts, one item matrix"),
    "p2rec": RegistryEntry("baselines.one_pass.p2rec:P2Rec", "SASRec on item vectors that a tuned LLM gave offline"),
    "recmamba": RegistryEntry(
        "baselines.one_pass.recmamba:RecMamba", "one Mamba layer, a state that a user's events move"
    ),
    "sigma": RegistryEntry("baselines.one_pass.sigma:Sigma", "a gated Mamba both ways, beside a GRU"),
    "tokenrec": RegistryEntry(
        "baselines.one_pass.tokenrec.tokenrec:TokenRec", "codes of LightGCN vectors in a prompt, one pass of T5"
    ),
    "setrec": RegistryEntry(
        "baselines.one_pass.setrec.setrec:SetRec", "items as sets of vectors, queries answered at once"
    ),
    "slmrec": RegistryEntry("baselines.one_pass.slmrec.slmrec:SLMRec", "few layers of a Llama, taught by a deeper one"),
    "deftrec": RegistryEntry(
        "baselines.diffusion.deftrec.deftrec:DeftRec",
        "continuous tokens in, greedy text, a diffusion to an item's vector",
    ),
    "lite-llm4rec": RegistryEntry("models.lite_llm4rec:LiteLLM4Rec", "Item LLM, Recommendation LLM, projection head"),
    "lite-llm4rec-shortcut": RegistryEntry(
        "baselines.one_pass.mixture:Mixture", "Lite-LLM4Rec mixed with shortcut, still one pass"
    ),
    "lite-llm4rec-beam": RegistryEntry(
        "baselines.generative.lite_llm4rec_beam:LiteLLM4RecBeam", "Lite-LLM4Rec with beam search in place of the head"
    ),
    "tiger": RegistryEntry("baselines.generative.tiger:Tiger", "semantic IDs in, semantic ID out, code by code"),
    "semantic-convergence": RegistryEntry(
        "baselines.generative.semantic_convergence:SemanticConvergence", "codes of behaviour, by beams or looked up"
    ),
    "openp5-llama": RegistryEntry(
        "baselines.generative.openp5_llama:OpenP5Llama", "instruction in, item ID out, on a decoder alone"
    ),
    "p5": RegistryEntry("baselines.generative.p5:P5", "prompt in, item ID out, token by token with beam search"),
}


def available() -> dict[str, RegistryEntry]:
    """List every registered recommender, those of installed third parties included."""
    others = {point.name: RegistryEntry(point.value, "installed plug-in") for point in entry_points(group=ENTRY_POINTS)}
    return others | REGISTRY


def load(name: str) -> type[Recommender]:
    """Import the class of a recommender.

    Args:
        name: A registered name, or ``package.module:Class`` importable from the working directory.

    Raises:
        UserError: The name is unknown, cannot be imported, or is not a `Recommender`.

    """
    if not name.strip():
        raise UserError("a recommender's name is empty (a variable that is not set?): `python -m bench` lists them")
    entry = available().get(name)
    path = entry.path if entry else name
    module_name, _, class_name = path.partition(":")
    if not class_name:
        names = ", ".join(sorted(available()))
        raise UserError(f"unknown recommender {name!r}: use one of {names}, or package.module:Class")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        recommender_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"recommender {name!r} cannot be imported: {error}; is its folder on PYTHONPATH?") from error
    except (Exception, SystemExit) as error:  # whatever a module of somebody else's does when it is imported
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"recommender {name!r} cannot be imported: {said}; mend {module_name}") from error
    if not (isinstance(recommender_class, type) and issubclass(recommender_class, Recommender)):
        raise UserError(f"recommender {name!r}: {path} is not a subclass of models.recommender.Recommender")
    return recommender_class

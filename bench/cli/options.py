"""What the commands have in common: their options, settings as words, how to serve, the device, the threads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bench.ground.bounds import Seed, Threads, number
from bench.records.case import Case
from models.errors import UserError
from models.recommender import Recommender
from models.serving import Scores, SeenItems, Serving

BEAM_WIDTH = 20
"""Beams when nothing is said."""

DatasetName = Annotated[str, typer.Option(help="A name that `python -m bench` lists, or a path.")]

PresetName = Annotated[str | None, typer.Option(help="Preset of the recommender: its size, such as compact.")]

SettingWords = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recommender; may be repeated."),
]

SeedNumber = Annotated[int, number(Seed, "Seed of the weights, and of what else is drawn.")]

DecoderName = Annotated[str | None, typer.Option(help="Decoder of generative recommenders; default: their own.")]

RankerName = Annotated[
    str | None, typer.Option(help="What ranks all items by inner product, such as exact-fused; default: exact.")
]

ScoresKind = Annotated[Scores, typer.Option(help="What the scores of generated items are taken over.")]

DeviceName = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: a GPU if there is one.")]

CpuThreads = Annotated[int | None, number(Threads, "CPU threads; default: torch's.")]

StudiesFile = Annotated[Path | None, typer.Option(help="Also write what was found, for bench.report.")]


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """Turn ``name=value`` words into settings; the recommender's own types decide what a value is.

    Raises:
        UserError: A word has no ``=``.

    """
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"--set {word}: write it as name=value, such as --set dropout=0.4")
        settings[name.strip()] = value.strip()
    return settings


def serving_for(
    name: str,
    recommender: Recommender | type[Recommender],
    decoder: str | None,
    beam_width: int,
    scores: Scores,
    *,
    seen: SeenItems = SeenItems.REMOVE,
    ranker: str | None = None,
) -> Serving:
    """Choose how to serve: a decoder for generative recommenders, the default one if none is named.

    Args:
        name: How messages call the recommender.
        recommender: What is served; one-pass ones have no decoder, so what concerns decoders is passed over.
        decoder: One of its decoders.
        beam_width: Beams of beam searches.
        scores: Scores of generated items.
        seen: Whether items of the history may come back.
        ranker: What ranks by inner product; what does not rank so passes it over.

    Raises:
        UserError: The recommender does not have that decoder, or that ranker.

    """
    if not recommender.decoders:
        return Serving(seen=seen, ranker=_ranker_of(name, recommender, ranker))
    chosen = decoder or next(iter(recommender.decoders))
    if chosen not in recommender.decoders:
        raise UserError(f"--decoder {decoder}: {name} has {', '.join(recommender.decoders)}")
    width = beam_width if recommender.decoders[chosen].has_beams else None
    return Serving(seen=seen, decoder=chosen, beam_width=width, scores=scores)


def _ranker_of(name: str, recommender: Recommender | type[Recommender], ranker: str | None) -> str | None:
    """Return a ranker that is not the usual one, by which everything goes where nothing is said."""
    if ranker is None or not recommender.rankers:
        return None
    if ranker not in recommender.rankers:
        raise UserError(f"--ranker {ranker}: {name} has {', '.join(recommender.rankers)}")
    return None if ranker == next(iter(recommender.rankers)) else ranker


def serving_of(case: Case) -> Serving:
    """Return how a case is to be served."""
    how: dict[str, Any] = {"decoder": case.decoder, "beam_width": case.beam_width}
    how |= {"ranker": case.ranker, "compiled": case.compiled}
    scores = {} if case.scores is None else {"scores": Scores(case.scores)}
    return Serving(seen=SeenItems(case.seen), **how, **scores)


def choose_device(name: str | None) -> torch.device:
    """Return the device that was asked for; by default a CUDA GPU if there is one, else the CPU.

    Raises:
        UserError: There is no such device.

    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not name.strip():
        raise UserError("--device: names nothing (a variable that is not set?); try --device cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"--device {name} cannot be used ({reason}): try --device cpu") from error
    return device


@contextmanager
def all_cores() -> Iterator[None]:
    """Compute with every core in the body: training is not timed, and measuring leaves a core free."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def set_threads(threads: int | None) -> int:
    """Set how many threads torch computes with, and return how many that are.

    Raises:
        UserError: More than the machine has, or fewer than one.

    """
    cores = os.cpu_count() or 1
    if threads is not None:
        if not 1 <= threads <= cores:
            raise UserError(f"--threads {threads}: this machine has {cores} cores; give 1 to {cores}")
        torch.set_num_threads(threads)
    return torch.get_num_threads()

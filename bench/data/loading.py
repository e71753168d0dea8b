"""The way in: a name or a path, and a `Dataset` comes out."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data import cache, synthetic
from bench.data.dataset import Dataset, Source
from bench.data.download import REMOTES, download
from bench.data.files import checksum
from bench.data.layouts import find_layout
from bench.data.options import LEAVE_ONE_OUT, LoadOptions, SyntheticSizes, Ties
from bench.data.place import archive_of
from bench.data.prepare import Prepared, prepare
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from bench.data.vast import BYTES_AN_ITEM, READERS, VAST, catalogue_of, vast
from models.errors import UserError

SYNTHETIC = "synthetic"
SIZED = re.compile(rf"{SYNTHETIC}-([0-9]+)")
"""``synthetic-12101``: generated data with so many items, and as many users so that each occurs, up to a million."""

SIZED_LENGTH = 8
"""Interactions a user of those: they are for measuring cost, which needs items, not interactions."""

DATA_VARIABLE = "BENCH_DATA"


def available() -> dict[str, str]:
    """Return the datasets that have a name, each with one line about it."""
    return {SYNTHETIC: synthetic.ABOUT} | {name: remote.about for name, remote in REMOTES.items()}


def load(
    name: str,
    *,
    data_dir: Path | None = None,
    min_count: int = 0,
    max_history: int | None = None,
    seed: int = 0,
    ties: Ties | str = Ties.SHUFFLED,
    split: str = LEAVE_ONE_OUT,
    users: int | None = None,
    items: int | None = None,
    length: int | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Load a dataset, from the cache if it has been prepared before.

    Args:
        name: A name that `available` lists, ``synthetic-ITEMS``, a folder's name below `data_dir`, or the path of a
            folder, of a zip or of a file; see `bench.data.layouts`.
        data_dir: Where ``NAME/`` is looked for before anything is downloaded; default ``$BENCH_DATA``.
        min_count: Keep only users and items with at least this many interactions (k-core); 0 keeps all.
        max_history: Histories handed to recommenders keep at most this many last items.
        seed: Decides the numbering of the items, the order of simultaneous interactions, and generated data.
        ties: In which order simultaneous interactions of a user stand.
        split: ``leave-one-out``, or ``time=`` with the share of events before the cut, or with a date.
        users: How many users to generate for ``synthetic``.
        items: How many items to generate for ``synthetic``.
        length: The mean number of interactions a user to generate for ``synthetic``.
        reading: What the user says of files beyond their path.

    Raises:
        UserError: An option, the name, a file or the network is not as it must be.

    """
    sizes = {key: value for key, value in (("users", users), ("items", items), ("length", length)) if value is not None}
    implied = {}
    if sized := SIZED.fullmatch(name):
        wanted = int(sized[1][:12])
        implied = {"users": min(wanted, READERS), "items": wanted, "length": SIZED_LENGTH}
        sizes = implied | sizes | {"items": implied["items"]}
    elif sizes and name != SYNTHETIC:
        raise UserError(f"{', '.join(sizes)}: only the dataset {SYNTHETIC} has a size to choose; leave it out")
    given = {"min_count": min_count, "max_history": max_history, "seed": seed, "ties": ties, "split": split}
    named = reading is not None and bool(reading.columns or reading.items or reading.item_columns)
    if named and (name == SYNTHETIC or sized):
        raise UserError(
            f"--columns, --items and --item-columns are for tables, and {name} is generated; leave them out"
        )
    if name == SYNTHETIC or sized:
        options = LoadOptions.check(**given, sizes=sizes)
        unusual = options.unlike(LoadOptions.check(sizes=implied))
        return _generate(name, options, options.sizes or SyntheticSizes(), unusual)
    return _load_files(name, data_dir, LoadOptions.check(**given), reading or Reading())


def _generate(
    name: str, options: LoadOptions, sizes: SyntheticSizes, unusual: dict[str, str | int | bool | None]
) -> Dataset:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    settings = {"version": synthetic.VERSION, "seed": options.seed, **sizes.model_dump()}
    if sizes.items > VAST:
        synthetic.check_memory(sizes, memory, BYTES_AN_ITEM)
        return _generate_vast(name, options, sizes, unusual, _digest(settings))
    synthetic.check_memory(sizes, memory)
    prepared = prepare(synthetic.generate(sizes, options.seed), options)
    warnings = ("generated data", *prepared.warnings)
    source = Source(name, _digest(settings), options.settings, unusual, synthetic=True, warnings=warnings)
    return prepared.dataset(name, source, options.max_history)


def _generate_vast(
    name: str, options: LoadOptions, sizes: SyntheticSizes, unusual: dict[str, str | int | bool | None], digest: str
) -> Dataset:
    if options.min_count or options.split != LEAVE_ONE_OUT:
        raise UserError(
            f"{name}: of more than {VAST:,} generated items all are kept, and they have no times; leave --min-count "
            "and --split out"
        )
    prepared = vast(sizes, options.seed)
    used = int((np.bincount(prepared.flat, minlength=sizes.items + 1) > 0).sum())
    warnings = ("generated data", f"{used:,} of the {sizes.items:,} items are in a history")
    source = Source(name, digest, options.settings, unusual, synthetic=True, warnings=warnings)
    catalogue = catalogue_of(name, prepared, digest)
    return Dataset(catalogue, prepared.flat, prepared.offsets, source, options.max_history)


def _load_files(name: str, data_dir: Path | None, options: LoadOptions, reading: Reading) -> Dataset:
    layout, files = find_layout(_locate(name, data_dir), reading)
    readable = _readable(name)
    unusual = options.unlike(LoadOptions())
    sizes = Unpacker(reading)
    for archive in dict.fromkeys(map(archive_of, files)):  # before all of it is read for its checksum
        sizes.count(archive, archive.stat().st_size)
    told = options.settings | {"layout": layout.name} | _columns(reading)
    source = Source(name, checksum(map(archive_of, files)), told, unusual)
    read_as = reading.model_dump(mode="json", exclude={"max_unpacked", "items"})
    made_with = options.model_dump(mode="json", exclude={"max_history", "sizes"}) | read_as
    key = _digest({"version": cache.VERSION, "files": source.checksum, "layout": layout.name, **made_with})
    place = cache.folder(readable, key)
    prepared: Prepared | None = cache.fetch(place, key)
    if prepared is None:
        prepared = prepare(layout.read(files, reading), options)
        cache.store(place, key, prepared)
    # Weights that were trained on another order of the same ties are of other data: the record names the order.
    tied = "tied interactions" in prepared.counted
    ordered: dict[str, str | int | bool | None] = {"ties": options.ties.value} if tied else {}
    source = replace(source, options=source.options | ordered, warnings=prepared.warnings, counted=prepared.counted)
    return prepared.dataset(readable, source, options.max_history)


def _columns(reading: Reading) -> dict[str, str]:
    """Return the columns that the user named, for the record: other columns of the same file are other data."""
    named = {"columns": reading.columns, "item columns": reading.item_columns}
    return {name: ", ".join(f"{key}={column}" for key, column in of.items()) for name, of in named.items() if of}


def _locate(name: str, data_dir: Path | None) -> Path:
    """Return the folder or file that a name or path stands for, downloaded if need be."""
    if not name.strip() or "\0" in name:
        raise UserError(
            f"--dataset {name!r}: names nothing (a variable that is not set?); `python -m bench` lists them"
        )
    variable = os.environ.get(DATA_VARIABLE)
    root = data_dir or (Path(variable) if variable else None)
    if root is not None and not root.is_dir():
        origin = "--data-dir" if data_dir else DATA_VARIABLE
        raise UserError(f"{origin} {root}: there is no such folder; correct it or leave it out")
    path = _expanded(name)
    plain = path.name == name and name not in {"", ".", ".."}
    if root is not None and plain and (root / name).is_dir():
        return root / name
    if name in REMOTES:
        return download(name, REMOTES[name])
    if path.exists() and name:
        return path
    if not plain or path.suffix in {".inter", ".zip"}:
        raise UserError(f"{name}: there is no such file or folder; check the path")
    looked = f"no folder {root / name}, and " if root else ""
    raise UserError(
        f"dataset {name!r} is not known: {looked}the known ones are {', '.join(available())}, or give a path"
    )


def _expanded(name: str) -> Path:
    """Return a path with its ``~`` replaced by a home directory.

    Raises:
        UserError: There is no such user, a folder on the way may not be searched, or a name is too long.

    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except (RuntimeError, OSError) as error:  # pathlib raises RuntimeError where there is no such user
        reason = error.strerror if isinstance(error, OSError) else "there is no such user"
        raise UserError(f"{name}: cannot be looked for ({reason}); check the path") from error
    return path


def _readable(name: str) -> str:
    path = _expanded(name).resolve()
    return Path(path.name.removesuffix(".gz")).stem if path.is_file() else path.name


def _digest(settings: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

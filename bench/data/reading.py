"""What a user says of files beyond their path: which columns hold what, and how large they may unpack."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.ground.bounds import Mebibytes

MAX_UNPACKED_MIB = 16_384
"""A file that unpacks to more is refused unless the user allows it: the largest of the known layouts has 12 GiB."""


class Reading(BaseModel):
    """How files are read.

    Attributes:
        columns: In a table of interactions, the name of the column for each of ``user``, ``item``, ``time``, ``title``,
            ``categories`` and ``brand``; empty where the layout says it.
        items: A table of items beside the interactions; None where there is none, or where the layout knows it.
        item_columns: In that table, the name of the column for each of ``item``, ``title``, ``categories``, ``brand``.
        max_unpacked: MiB that all files of a dataset may unpack to together.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str] = {}
    items: Path | None = None
    item_columns: dict[str, str] = {}
    max_unpacked: Mebibytes = MAX_UNPACKED_MIB

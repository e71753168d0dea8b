"""Tables of what has a name."""

from __future__ import annotations

from typing import Protocol, TypeVar


class Named(Protocol):
    """Whatever is asked for by its name."""

    @property
    def name(self) -> str:
        """Name by which it is asked for."""


Known = TypeVar("Known", bound=Named)


def by_name(*rows: Known) -> dict[str, Known]:
    """Return rows by their names, the default first."""
    return {row.name: row for row in rows}

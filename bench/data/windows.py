"""From windows on a sequence, each a history and the item after it, back to the sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Window(NamedTuple):
    """A part of one user's sequence.

    Attributes:
        line: Where it stands.
        items: The history, oldest first, and the item after it.

    """

    line: int
    items: tuple[str, ...]


def join(windows: Mapping[str, Sequence[Window]]) -> tuple[list[tuple[int, str, tuple[str, ...]]], tuple[str, ...]]:
    """Put each user's windows together, so that no item is lost and none comes twice.

    Histories may be cut to a number of last items, as is usual in files for training: one window's history is then the
    end of what the windows before it make.

    Args:
        windows: By user, those of earlier parts first.

    Returns:
        Line, user and sequence, one a user, as `bench.data.raw.sequential` takes them; and what was noticed.

    """
    rows, loose = [], 0
    for user, his in windows.items():
        sequence, unfit = _sequence(his)
        loose += unfit
        rows.append((min(window.line for window in his), user, sequence))
    said = f"{loose:,} rows whose history is not part of the user's other rows; their items stand at the end"
    return rows, (said,) if loose else ()


def _sequence(windows: Sequence[Window]) -> tuple[tuple[str, ...], int]:
    """Return one user's items, and how many windows hang together with no other."""
    longest = max(windows, key=lambda window: len(window.items)).items
    if all(_is_start(window.items, longest) for window in windows):  # nothing was cut
        return longest, 0
    after: dict[tuple[str, ...], list[Window]] = {}
    for window in windows:
        after.setdefault(window.items[:-1], []).append(window)
    lengths = Counter(len(history) for history in after for _ in after[history])
    widths = sorted((width for width, count in lengths.items() if count > 1), reverse=True)  # where histories were cut
    first = min(windows, key=lambda window: len(window.items))
    sequence = list(first.items)
    used = {id(first)}
    after[first.items[:-1]].remove(first)
    while following := _following(sequence, widths, after):
        window = following.pop(0)
        used.add(id(window))
        sequence.append(window.items[-1])
    return _with_the_rest(sequence, [window for window in windows if id(window) not in used])


def _following(
    sequence: list[str], widths: list[int], after: Mapping[tuple[str, ...], list[Window]]
) -> list[Window] | None:
    """Return the windows whose history is the sequence so far, or its end."""
    ends = [tuple(sequence), *(tuple(sequence[-width:]) for width in widths if 0 < width < len(sequence))]
    return next((windows for end in ends if (windows := after.get(end))), None)


def _with_the_rest(sequence: list[str], rest: Sequence[Window]) -> tuple[tuple[str, ...], int]:
    loose = 0
    for window in sorted(rest, key=lambda window: len(window.items)):
        items = window.items
        if _is_part(items, sequence):
            continue
        shared = next((n for n in range(len(items) - 1, 0, -1) if sequence[-n:] == list(items[:n])), 0)
        overlap = len(items) - 1 if _is_part(items[:-1], sequence) else shared
        loose += not overlap and len(items) > 1
        sequence.extend(items[overlap:])
    return tuple(sequence), loose


def _is_start(items: tuple[str, ...], sequence: Sequence[str]) -> bool:
    return tuple(sequence[: len(items)]) == items


def _is_part(items: tuple[str, ...], sequence: Sequence[str]) -> bool:
    return any(tuple(sequence[start : start + len(items)]) == items for start in range(len(sequence) - len(items) + 1))

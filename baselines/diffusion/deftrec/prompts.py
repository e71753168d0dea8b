"""The prompts of DeftRec, and the answers that it learns to write; words stand between single spaces."""

from __future__ import annotations

from models.catalogue import Catalogue

SEEN = (
    "Input : the user has bought {items} . What would the user like ? Response :",
    "Input : these purchases are known , {items} . Which taste do they show ? Response :",
    "Input : after {items} , what comes next for the user ? Response :",
    "Input : the history reads {items} . Help the user to decide . Response :",
    "Input : knowing {items} , say what the user prefers . Response :",
    "Input : the user went through {items} . Suggest one thing more . Response :",
)
"""Prompts of training; each example draws one at random."""

UNSEEN = "Input : judging by {items} , what may suit the user best ? Response :"
"""A prompt outside of training, to see how a model takes new wording."""

PROMPTS = (*SEEN, UNSEEN)

ANSWER = "The user may like ( {kind} ) , such as {title}"

NOTHING = "nothing"
"""Stands where a history is empty, or where an item has no category."""

TITLE_LETTERS = 20
"""Letters of a title that a prompt repeats, as in the code."""


def token_words(tokens: int) -> list[str]:
    """Return the words whose embeddings are replaced by continuous tokens, ``<item-0>``, ``<item-1>``, ..."""
    return [f"<item-{place}>" for place in range(tokens)]


def titles(catalogue: Catalogue) -> list[str]:
    """Return a title of each item; its identifier where it has none, so that all can be told apart."""
    return [item.title or name for item, name in zip(catalogue.items, catalogue.ids, strict=True)]


def answers(catalogue: Catalogue) -> list[str]:
    """Write an answer for each item: its last category, the narrowest, and its title."""
    kinds = [item.categories[-1] if item.categories else NOTHING for item in catalogue.items]
    return [ANSWER.format(kind=kind, title=title) for kind, title in zip(kinds, titles(catalogue), strict=True)]

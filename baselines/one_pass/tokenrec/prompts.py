"""The prompts of TokenRec, and the text that its decoder begins with; words stand between single spaces."""

from __future__ import annotations

from collections.abc import Sequence

SEEN = (
    "These are the purchases of {user} : {items} . What does the user prefer ?",
    "So far {user} has taken {items} . Say what the user will like .",
    "The list of {user} reads {items} . Which taste does it show ?",
    "Knowing that {user} went through {items} , what are the preferences of the user ?",
    "Read the history of {user} , {items} , and describe what the user is after .",
    "After {items} , what would {user} be glad to see ?",
    "What {user} has chosen is {items} . What may the user be interested in ?",
    "From the interactions of {user} with {items} , infer the taste of the user .",
    "Tell what {user} would take next to {items} .",
    "Here is what {user} bought , {items} . Help the user to decide .",
)
"""Prompts of training; each example draws one at random."""

UNSEEN = "Whatever may suit {user} best , judging by {items} ?"
"""A prompt outside of training, to see how a model takes new wording."""

PROMPTS = (*SEEN, UNSEEN)

OPENING = "From what the user has taken so far , the user will prefer"
"""What the decoder reads of every user: the beginning of a sentence that nobody ends."""

NEWCOMER = "a new user"
"""Stands where a user has no codes."""

NOTHING = "nothing"
"""Stands where a history is empty."""


def code_words(codebooks: int, size: int) -> list[str]:
    """Return the words that are one token each: the codes of items in each book, and those of users."""
    heads = [*map(str, range(codebooks)), *(chr(ord("a") + book) for book in range(codebooks))]
    return [f"<{head}-{code}>" for head in heads for code in range(size)]


def item_word(codes: Sequence[int]) -> str:
    """Write an item: ``item_<0-12><1-3><2-200>``."""
    return "item_" + "".join(f"<{book}-{code}>" for book, code in enumerate(codes))


def user_word(codes: Sequence[int]) -> str:
    """Write a user: ``user_<a-12><b-3><c-200>``."""
    return "user_" + "".join(f"<{chr(ord('a') + book)}-{code}>" for book, code in enumerate(codes))


def corpus(texts: Sequence[str]) -> list[str]:
    """Return the texts to train a tokenizer on, so that words of prompts are few tokens; codes are added afterwards."""
    filled = [prompt.format(user=user, items=items) for prompt in PROMPTS for user, items in _EXAMPLES]
    return [*filled, OPENING, *texts]


_EXAMPLES = (("user_", "item_ item_"), (NEWCOMER, NOTHING))

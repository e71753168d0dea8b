"""The sequential prompts of a P5, in the style of OpenP5's ten seen ones and an unseen one.

Words stand between single spaces, punctuation included, so that they can be tokenised one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = " , "

SEEN = (
    "{dataset} user_{user} has chosen {dataset} items {history} . Which item comes next for the user ?",
    "Given that {dataset} user_{user} interacted with {dataset} items {history} , predict the next item .",
    "After {dataset} items {history} , what will {dataset} user_{user} turn to next ?",
    "Here is the history of {dataset} user_{user} : {history} . Name the item to recommend next .",
    "So far {dataset} user_{user} went through {dataset} items {history} . Find the item that follows .",
    "What should be suggested to {dataset} user_{user} , who lately took {dataset} items {history} ?",
    "The record of {dataset} user_{user} reads {history} . Continue it with one {dataset} item .",
    "Knowing the {dataset} items {history} of {dataset} user_{user} , what is the likely next one ?",
    "{dataset} items {history} were picked in this order by {dataset} user_{user} . What is picked now ?",
    "Recommend one more item to {dataset} user_{user} with the {dataset} purchases {history} .",
)
"""Trained on, one at random an example."""

UNSEEN = "Which single item suits {dataset} user_{user} best , whose past {dataset} items are {history} ?"
"""Never trained on; for asking how a model takes new wording."""

PROMPTS = (*SEEN, UNSEEN)

OPENING = "What {dataset} user_{user} has chosen , in order , and what comes next :"
"""Stands before items of which each is to be predicted from those before it."""


def fill(prompt: str, dataset: str, user: int, ids: Sequence[str]) -> str:
    """Write a request: `ids` are those of the history's items, oldest first, and may be none."""
    history = SEPARATOR.join(f"item_{text}" for text in ids)
    if not history:
        prompt = prompt.replace(" {history}", "")  # words stay one space apart
    return prompt.format(dataset=dataset, user=user, history=history)

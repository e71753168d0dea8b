"""Small ranking problems."""

import torch


def problem(users, items, seed, *, width=8, history=3):
    """Random queries, vectors, seen items and biases; row 0 of vectors belongs to padding."""
    generator = torch.Generator().manual_seed(seed)
    query, vectors = (torch.randn(rows, width, generator=generator) for rows in (users, items + 1))
    seen = torch.randint(0, items + 1, (users, history), generator=generator)
    return query, vectors, seen, torch.randn(items + 1, generator=generator)


def tied(users, items, seed, *, width=4, history=3):
    """The same with small whole numbers: scores tie in masses, and no order of adding changes them."""
    generator = torch.Generator().manual_seed(seed)
    query, vectors = (torch.randint(-2, 3, (rows, width), generator=generator) for rows in (users, items + 1))
    seen = torch.randint(0, items + 1, (users, history), generator=generator)
    bias = torch.randint(-1, 2, (items + 1,), generator=generator)
    return query.float(), vectors.float(), seen, bias.float()


def in_plain_python(query, vectors, k, seen, bias=None):
    """Items of each list, best first; of equal scores the lower number first."""
    scores = query.double() @ vectors.double().T
    scores = (scores if bias is None else scores + bias.double()).tolist()
    lists = []
    for row, gone in zip(scores, seen.tolist(), strict=True):
        left = [(-score, item) for item, score in enumerate(row) if item != 0 and item not in gone]
        lists.append([item for _, item in sorted(left)[:k]])
    return lists


def real(found):
    """Items of each list without padding."""
    return [[item for item in row if item] for row in found.items.tolist()]

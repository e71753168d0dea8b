"""A short training of its own: it learns, the seed settles it, and it leaves the generator as it was."""

import torch

from baselines.one_pass.pretraining import fit
from tests.tiny import build, walks


def fitted(epochs, seed=0):
    model = build("sasrec").train()
    examples = model.examples(walks(60))
    losses = []

    def loss(batch):
        losses.append(model(**batch).loss)
        return losses[-1]

    rest = {"batch_size": 16, "learning_rate": 3e-3, "seed": seed, "title": "fitting"}
    fit(loss, model.parameters(), examples, model.collate, epochs=epochs, **rest)
    return model, [one.item() for one in losses]


def test_the_loss_falls_over_as_many_steps_as_the_epochs_take():
    _, losses = fitted(10)
    assert len(losses) == 38  # 600 examples in batches of 16
    assert losses[-1] < 0.9 * losses[0]


def test_no_epochs_change_nothing():
    model, losses = fitted(0)
    assert losses == []
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), build("sasrec").parameters(), strict=True))


def test_the_seed_settles_it_and_torchs_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, _ = fitted(2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = fitted(2)[0], fitted(2, seed=1)[0]
    for one, same, different in zip(first.parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, different)

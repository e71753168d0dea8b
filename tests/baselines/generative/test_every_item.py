"""Training on every item of a history: what is learned at an item is what its prefix alone would be asked."""

import pytest
import torch

from baselines.generative.every_item import EveryItem
from baselines.generative.generative import IGNORED
from models.catalogue import History
from models.errors import UserError
from models.serving import Serving
from tests import tiny

KINDS = [
    ("tiger", {"preset": "compact-llama"}),
    ("tiger", {"preset": "compact-llama", "user_tokens": 3}),
    ("openp5-llama", {}),
]


@pytest.fixture(params=KINDS, ids=["tiger", "tiger with user tokens", "openp5-llama"])
def model(request):
    name, settings = request.param
    return tiny.build(name, targets="all", max_history=4, **settings).eval()


@torch.inference_mode()
def test_an_item_is_predicted_as_from_its_prefix_alone(model):
    model = model.double()
    model.serving = Serving(decoder="exact", beam_width=5)
    history = History(2, (5, 1, 9, 3, 7))
    example = EveryItem(model, [history], 4)[0]
    whole = model.generator(input_ids=torch.tensor([example["input_ids"]])).logits[0]
    wanted = [place for place, label in enumerate(example["labels"]) if label != IGNORED]
    for seen in range(1, 5):
        target = model.target(history.items[seen])
        prefix = model.prepare([History(2, history.items[:seen])])
        given = model.prompt(prefix)
        embedded = model.generator.get_input_embeddings()(torch.tensor([target[:-1]]))
        alone = model.generator(inputs_embeds=torch.cat([given.embeddings, embedded], dim=1)).logits[0, -len(target) :]
        places, wanted = wanted[: len(target)], wanted[len(target) :]
        assert [example["labels"][place] for place in places] == list(target)
        torch.testing.assert_close(whole[places], alone, rtol=1e-9, atol=1e-9)
    assert wanted == [], "nothing else is learned"


def test_the_loss_is_the_mean_over_all_target_tokens(model):
    examples = model.examples([History(0, (5, 1, 9)), History(1, (2, 8, 4, 6, 3))])
    batch = model.collate([examples[0], examples[1]])
    assert examples.interactions == 6
    logits = model.generator(input_ids=batch["input_ids"]).logits
    wanted = batch["labels"] != IGNORED
    chances = logits.log_softmax(-1)[wanted].gather(1, batch["labels"][wanted][:, None])
    torch.testing.assert_close(model(**batch).loss, -chances.mean())


def test_padding_on_the_right_changes_nothing(model):
    examples = model.examples([History(0, (5, 1)), History(1, (2, 8, 4, 6, 3))])
    short, both = model.collate([examples[0]]), model.collate([examples[0], examples[1]])
    alone = model.generator(input_ids=short["input_ids"]).logits
    beside = model.generator(input_ids=both["input_ids"]).logits[:1, : alone.shape[1]]
    torch.testing.assert_close(alone, beside)


def test_each_item_but_the_first_is_learned_once_however_long_the_history():
    model = tiny.build("tiger", preset="compact-llama", targets="all", max_history=3)
    examples = model.examples([History(0, tuple(range(1, 10)))])
    learned = [label for number in range(len(examples)) for label in examples[number]["labels"] if label != IGNORED]
    assert sorted(learned) == sorted(token for item in range(2, 10) for token in model.target(item))


def test_an_encoder_cannot_learn_all_targets_at_once():
    with pytest.raises(UserError, match=r"targets=all needs a decoder alone, and preset 'compact' is an encoder-decod"):
        tiny.build("tiger", targets="all")

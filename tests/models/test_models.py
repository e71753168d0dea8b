"""The interface's own parts: texts, padding, examples, ranking, the registry, flattened histories."""

import sys

import pytest
import torch

from models import recommender, registry
from models.catalogue import Catalogue, History, Item
from models.errors import UserError
from models.ragged import pad
from models.ranking.lists import top_items
from models.sequences import Prefixes, Windows, collate_windows, negatives_outside, request_batch
from models.serving import SeenItems, Serving
from tests.tiny import ITEMS, build, catalogue, walks


def test_an_items_text_names_what_is_known_and_is_empty_when_nothing_is():
    assert Item("A", ("B", "C"), "D").text == "title: A; categories: B, C; brand: D"
    assert Item(brand="D").text == "brand: D"
    assert Item().text == ""


def test_the_fingerprint_follows_identifiers_texts_and_their_order():
    first = Catalogue("x", ("a", "b"), (Item("A"), Item("B")))
    renamed = Catalogue("y", first.ids, first.items)
    swapped = Catalogue("x", ("b", "a"), (Item("B"), Item("A")))
    other_text = Catalogue("x", ("a", "b"), (Item("A"), Item("C")))
    assert first.fingerprint == renamed.fingerprint
    assert len({first.fingerprint, swapped.fingerprint, other_text.fingerprint}) == 3


def test_padding_goes_left_or_right_and_makes_at_least_one_column():
    assert pad([(1, 2), (3,)]).tolist() == [[1, 2], [3, 0]]
    assert pad([(1, 2), (3,)], left=True, value=9).tolist() == [[1, 2], [9, 3]]
    assert pad([()]).tolist() == [[0]]


def test_windows_predict_every_item_but_the_first_exactly_once():
    windows = Windows([History(0, tuple(range(1, 12))), History(1, (5,)), History(2, ()), History(3, (7, 8))], 4)
    predicted = [label for number in range(len(windows)) for label in windows[number]["labels"]]
    assert sorted(predicted) == [2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11]
    assert windows.lengths == [len(windows[number]["labels"]) for number in range(len(windows))]
    assert windows[0] == {"input_ids": (7, 8, 9, 10), "labels": (8, 9, 10, 11)}
    assert max(windows.lengths) == 4


def test_prefixes_are_every_item_with_the_newest_before_it():
    prefixes = Prefixes([History(0, (1, 2, 3, 4)), History(1, (9,)), History(2, (5, 6))], 2)
    assert [prefixes[number] for number in range(len(prefixes))] == [
        {"input_ids": (1,), "labels": (2,)},
        {"input_ids": (1, 2), "labels": (0, 3)},
        {"input_ids": (2, 3), "labels": (0, 4)},
        {"input_ids": (5,), "labels": (6,)},
    ]
    assert prefixes.lengths == [1, 2, 2, 1]
    assert collate_windows([prefixes[0], prefixes[1]])["labels"].tolist() == [[2, 0], [0, 3]]


def test_a_request_reads_the_newest_items_and_removes_all_of_them():
    histories = [History(0, (1, 2, 3)), History(1, ())]
    batch = request_batch(histories, 2, Serving())
    assert batch["input_ids"].tolist() == [[2, 3], [0, 0]]
    assert batch["last"].tolist() == [1, 0]
    assert batch["seen_items"].tolist() == [[1, 2, 3], [0, 0, 0]]
    assert "seen_items" not in request_batch(histories, 2, Serving(seen=SeenItems.KEEP))


def test_ranking_leaves_out_padding_and_seen_items_and_fills_up():
    scores = torch.tensor([[9.0, 1, 3, 2], [9.0, 1, 3, 2]])
    found = top_items(scores, 5, torch.tensor([[2, 0], [0, 0]]))
    assert found.items.tolist() == [[3, 1, 0, 0, 0], [2, 3, 1, 0, 0]]
    assert found.scores[0].tolist() == [2, 1, -torch.inf, -torch.inf, -torch.inf]
    assert top_items(torch.ones(1, 3, dtype=torch.bfloat16), 2).scores.dtype == torch.float32


def test_negatives_are_outside_the_window():
    """With half of the items outside a window, three redraws miss them rarely."""
    torch.manual_seed(0)
    inputs = torch.arange(1, 21)[None].repeat(50, 1)
    negatives = negatives_outside(inputs, inputs + 1, ITEMS)
    assert negatives.shape == inputs.shape
    assert ((negatives >= 1) & (negatives <= ITEMS)).all()
    assert (negatives > 21).float().mean() > 0.9


def test_popularity_ranks_by_count():
    model = build("popularity", serving=Serving(seen=SeenItems.KEEP))
    counts = torch.zeros(ITEMS + 1)
    for history in walks(60):
        for item in history.items:
            counts[item] += 1
    found = model.recommend(model.prepare([History(0, ())]), ITEMS)
    assert torch.equal(found.scores[0], counts[1:].sort(descending=True).values)
    assert torch.equal(counts[found.items[0]], found.scores[0])


def test_a_flattened_history_keeps_items_whole_and_the_newest_first():
    model = build("lite-llm4rec", hierarchy="flattened", text_tokens=6, max_tokens=12)
    model.serving = Serving()
    model.index(catalogue())
    whole = model.prepare([History(0, tuple(range(1, 30)))])
    short = model.prepare([History(0, (28, 29))])
    assert torch.equal(whole["input_ids"], short["input_ids"])
    assert whole["input_ids"].shape[1] <= 12
    assert whole["seen_items"].shape == (1, 29)
    assert len(model.examples([History(0, (1, 2, 3, 4, 5))])[0]["labels"]) == 2, "two items fit"
    batch = model.collate([{"input_ids": (3, 4), "labels": (4, 5)}])
    assert batch["labels"][batch["labels"] > 0].tolist() == [4, 5]
    assert batch["labels"][0, -1] == 5, "a label stands at its item's last token"
    assert model.index_bytes > 0


def test_an_instruction_changes_what_is_read():
    with_words, without = (
        build("lite-llm4rec", instruction=instruction, dropout=0.0) for instruction in ("buy this next", "")
    )
    assert len(with_words.config.instruction) > 1
    assert without.config.instruction == []
    with_words.index(catalogue())
    states = with_words.states(torch.tensor([[1, 2, 3]]))
    assert states.shape == (1, 3, 64), "states of items only"


def test_an_unknown_or_wrong_recommender_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "near_here.py").write_text(
        "import models.recommender as r\nclass Mine(r.Recommender): pass\nVALUE = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    assert issubclass(registry.load("near_here:Mine"), recommender.Recommender)
    for name, message in {
        "nosuch": "use one of .*popularity.*, or package.module:Class",
        "near_here:Nobody": "cannot be imported: .*Nobody.*PYTHONPATH",
        "near_here:VALUE": "is not a subclass of models.recommender.Recommender",
        "no_such_module:Mine": "cannot be imported: No module named",
    }.items():
        with pytest.raises(UserError, match=message):
            registry.load(name)
    del sys.modules["near_here"]


@pytest.mark.parametrize("name", registry.REGISTRY)
def test_every_entry_has_a_summary_and_is_a_recommender(name):
    assert registry.available()[name].summary
    assert issubclass(registry.load(name), recommender.Recommender)


@pytest.mark.parametrize("name", ["lite-llm4rec-beam", "p5"])
def test_a_backbone_that_cannot_generate_ids_is_refused(name):
    setting = {"preset": "compact-causal"} if name == "p5" else {"backbone": "compact-causal"}
    with pytest.raises(UserError, match="needs a T5 backbone"):
        build(name, **setting)


def test_a_leaky_numbering_is_labelled():
    assert build("lite-llm4rec-beam", item_llm="ids", numbering="sequential-leaky").labels
    assert build("lite-llm4rec-beam", item_llm="ids").labels == ()

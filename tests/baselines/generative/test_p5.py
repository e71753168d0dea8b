"""P5 on a toy catalogue whose users walk round a circle of items."""

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import T5Config, T5ForConditionalGeneration

from baselines.generative.p5 import P5, WHOLE_WORDS, Settings, _t5_config
from baselines.generative.prompts import PROMPTS, SEEN, UNSEEN, fill
from models.backbones import PRESETS
from models.catalogue import Catalogue, History, Item
from models.errors import UserError
from models.phases import PHASE
from models.serving import SeenItems, Serving
from models.tokenizers import train_tokenizer

ITEMS = 30
TINY = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
TINY |= {"decoder_start_token_id": 0, "tie_word_embeddings": True}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", (T5Config, TINY))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def catalogue(items=ITEMS):
    names = tuple(f"i{number}" for number in range(items))
    return Catalogue("toy", names, tuple(Item(title=f"thing {name}") for name in names), tuple(range(1, items + 1)))


def walks(users, seed=0):
    """Histories in which item i is always followed by item i + 1, the last by the first."""
    rng = np.random.default_rng(seed)
    starts, lengths = rng.integers(ITEMS, size=users), rng.integers(3, 7, size=users)
    return [
        History(user, tuple((start + step) % ITEMS + 1 for step in range(length)))
        for user, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True))
    ]


def build(**settings):
    settings = {"preset": "tiny", "max_history": 3} | settings
    return P5.build(catalogue(), walks(300), Settings(**settings)).eval()


@torch.inference_mode()
def answer(model, histories, k=5, serving=None):
    model.serving = serving or Serving()
    model.index(catalogue())
    return model.recommend(model.prepare(histories), k)


def test_it_learns_what_follows_what():
    """A few hundred steps bring HR@1 from one in thirty to more than one in two."""
    model = build(dropout=0.0).train()
    examples = model.examples(walks(300))
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    torch.manual_seed(0)
    for _ in range(300):
        chosen = torch.randint(len(examples), (32,)).tolist()
        loss = model(**model.collate([examples[number] for number in chosen])).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    queries = walks(100, seed=9)
    found = answer(model.eval(), queries, k=1)
    expected = torch.tensor([history.items[-1] % ITEMS + 1 for history in queries])
    assert (found.items[:, 0] == expected).float().mean() > 0.5


@pytest.mark.parametrize("numbering", ["random", "sequential", "collaborative"])
@torch.inference_mode()
def test_a_beam_an_item_ranks_by_the_true_log_probability_of_every_item(numbering):
    model = build(numbering=numbering)
    history = History(4, (3, 4, 5))
    found = answer(model, [history], k=ITEMS, serving=Serving(seen=SeenItems.KEEP, beam_width=ITEMS))
    prompt = model.request(SEEN[0], history.user, history.items)
    batch = model.collate([{"prompt": prompt, "labels": model.target(item)} for item in range(1, ITEMS + 1)])
    losses = [model(**{name: rows[item : item + 1] for name, rows in batch.items()}).loss for item in range(ITEMS)]
    lengths = (batch["labels"] != -100).sum(-1)
    truth = -torch.stack(losses) * lengths
    torch.testing.assert_close(found.scores[0], truth[found.items[0] - 1], atol=1e-3, rtol=1e-5)
    assert sorted(found.items[0].tolist()) == list(range(1, ITEMS + 1))


def test_the_loss_weighs_samples_equally_however_long_their_targets_are():
    model = build(numbering="random")
    prompt = model.request(SEEN[0], 0, (1,))
    pair = [{"prompt": prompt, "labels": (5, 1)}, {"prompt": prompt, "labels": (5, 6, 7, 8, 1)}]
    alone = [model(**model.collate([example])).loss for example in pair]
    torch.testing.assert_close(model(**model.collate(pair)).loss, (alone[0] + alone[1]) / 2)


def test_saving_and_loading_gives_equal_lists(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    again = P5.from_pretrained(tmp_path).eval()
    queries = walks(8)
    before, after = answer(model, queries), answer(again, queries)
    assert torch.equal(before.items, after.items)
    assert torch.equal(before.scores, after.scores)
    assert (tmp_path / "model.safetensors").exists()


def test_the_seed_alone_decides_the_weights():
    torch.manual_seed(1)
    once = build(seed=3).state_dict()
    torch.manual_seed(2)
    again, other = build(seed=3).state_dict(), build(seed=4).state_dict()
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(once["whole_words.weight"], other["whole_words.weight"])


def test_a_users_list_does_not_depend_on_who_else_is_in_the_batch():
    """Batches of 1 and 8 agree: padding is seen by nobody."""
    model, queries = build(), [*walks(7), History(99, ())]
    together = answer(model, queries)
    for row, query in enumerate(queries):
        alone = answer(model, [query])
        assert torch.equal(alone.items[0], together.items[row])
        torch.testing.assert_close(alone.scores[0], together.scores[row], atol=1e-4, rtol=1e-5)


def test_seen_items_come_back_only_when_kept():
    model, history = build(), History(0, tuple(range(1, 29)))
    everything = Serving(seen=SeenItems.KEEP, beam_width=ITEMS)
    assert set(answer(model, [history], k=2).items[0].tolist()) == {29, 30}
    assert len(set(answer(model, [history], k=ITEMS, serving=everything).items[0].tolist())) == ITEMS
    assert "seen_items" not in model.prepare([history])


def test_places_that_cannot_be_filled_are_padding():
    """A list longer than the beam, a beam wider than the catalogue, a user who has seen everything."""
    model = build()
    short = answer(model, walks(2), k=10, serving=Serving(beam_width=4))
    assert short.items.shape == (2, 10)
    assert ((short.items > 0).sum(dim=1) == 4).all()
    assert (short.scores[short.items == 0] == -torch.inf).all()
    wide = answer(model, walks(2), k=40, serving=Serving(seen=SeenItems.KEEP, beam_width=40))
    assert ((wide.items > 0).sum(dim=1) == ITEMS).all()
    nothing = answer(model, [History(0, tuple(range(1, ITEMS + 1)))], k=3)
    assert nothing.items.tolist() == [[0, 0, 0]]


def test_another_catalogue_or_decoder_is_refused():
    model = build()
    with pytest.raises(UserError, match="another catalogue"):
        model.index(catalogue(ITEMS - 1))
    model.serving = Serving(decoder="telepathy")
    with pytest.raises(UserError, match="use one of exact, reference"):
        model.index(catalogue())


def test_a_leaky_numbering_says_so_beside_its_results():
    assert build(numbering="sequential-leaky").labels == ("leaky item IDs (P5's numbering)",)
    assert build(numbering="sequential").labels == ()


def test_examples_are_every_item_that_has_another_before_it():
    model = build()
    histories = [History(0, (1, 2, 3, 4, 5, 6)), History(1, (7,)), History(2, ()), History(3, (8, 9))]
    examples = model.examples(histories)
    assert [examples[number]["labels"] for number in range(len(examples))] == [
        model.target(item) for item in (2, 3, 4, 5, 6, 9)
    ]
    prompts = {tuple(examples[4]["prompt"].tokens) for _ in range(100)}
    possible = {tuple(model.request(prompt, 0, (3, 4, 5)).tokens) for prompt in PROMPTS}
    assert prompts == possible - {tuple(model.request(UNSEEN, 0, (3, 4, 5)).tokens)}


def test_estimated_lengths_are_close_to_the_prompts():
    examples = build().examples(walks(20))
    real = [len(examples[number]["prompt"].tokens) for number in range(len(examples))]
    assert np.corrcoef(examples.lengths, real)[0, 1] > 0.8
    assert np.mean(examples.lengths) == pytest.approx(np.mean(real), rel=0.2)


def test_the_newest_items_are_read_and_words_beyond_the_table_share_its_last_row():
    model = build(max_history=300)
    inputs = model.prepare([History(0, tuple(range(1, 31)) * 10)])
    assert inputs["whole_word_ids"].max() == WHOLE_WORDS - 1
    short = build(max_history=2)
    assert torch.equal(
        short.prepare([History(0, (9, 1, 2))])["input_ids"], short.prepare([History(0, (1, 2))])["input_ids"]
    )


@pytest.mark.parametrize("prompt", range(len(PROMPTS)))
def test_every_prompt_names_dataset_user_and_history_one_space_apart(prompt):
    text = fill(PROMPTS[prompt], "toy", 7, ["1001", "1002"])
    assert {"toy", "user_7"} <= set(text.split(" "))
    assert "item_1001 , item_1002" in text
    assert "" not in text.split(" ")
    assert "" not in fill(PROMPTS[prompt], "toy", 7, []).split(" ")


def test_a_request_of_the_reference_is_encode_then_decode_steps_then_rank():
    model = build()
    model.serving = Serving(decoder="reference")
    model.index(catalogue())
    inputs = model.prepare(walks(2))
    with profile(activities=[ProfilerActivity.CPU]) as profiled, torch.inference_mode():
        model.recommend(inputs, 5)
    events = sorted(profiled.events(), key=lambda event: event.time_range.start)
    names = [event.name[len(PHASE) :] for event in events if event.name.startswith(PHASE)]
    assert names == ["encode", *(f"decode step {step}" for step in range(1, len(names) - 1)), "rank"]


def pretrained_folder(folder):
    torch.manual_seed(0)
    tokenizer = train_tokenizer([*PROMPTS, " ".join(map(str, range(2000)))], vocab_size=300)
    T5ForConditionalGeneration(T5Config(**TINY, vocab_size=len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def test_a_local_directory_lends_its_weights_and_tokenizer(tmp_path):
    """Rows are added for cluster tokens, number tokens start afresh, everything else is kept."""
    tokenizer = pretrained_folder(tmp_path / "t5")
    model = build(preset=str(tmp_path / "t5"))
    lent = T5ForConditionalGeneration.from_pretrained(tmp_path / "t5").state_dict()
    ours = model.t5.state_dict()
    assert torch.equal(ours["encoder.final_layer_norm.weight"], lent["encoder.final_layer_norm.weight"])
    assert len(ours["shared.weight"]) == len(tokenizer) + 32
    number, word = tokenizer("7")["input_ids"][0], tokenizer(",")["input_ids"][0]
    assert not torch.equal(ours["shared.weight"][number], lent["shared.weight"][number])
    assert torch.equal(ours["shared.weight"][word], lent["shared.weight"][word])
    model.save_pretrained(tmp_path / "p5")
    again = P5.from_pretrained(tmp_path / "p5").eval()
    assert torch.equal(answer(again, walks(3)).items, answer(model, walks(3)).items)


def test_a_backbone_that_is_no_t5_is_refused():
    with pytest.raises(UserError, match="needs a T5 backbone"):
        build(preset="compact-causal")


def test_presets_of_t5s_sizes_keep_its_vocabulary():
    """The output layer of an untrained P5 costs what the pretrained one's costs."""
    for preset, tokens, rows in [("t5-small", 500, 32128), ("t5-small", 40000, 40000), ("compact", 500, 500)]:
        assert _t5_config(Settings(preset=preset), tokens).vocab_size == rows


def test_dropout_is_t5s_own_and_survives_saving(tmp_path):
    build(dropout=0.25).save_pretrained(tmp_path)
    model = P5.from_pretrained(tmp_path)
    assert {part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)} == {0.25}

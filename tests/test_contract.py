"""What every recommender promises, over every entry of the registry and the variants of its settings."""

import pytest
import torch

from bench.measure import flops
from bench.measure.memory import weight_bytes
from bench.measure.subject import Subject
from bench.running.audit import same_up_to_ties
from bench.training import recipes
from models import registry
from models.catalogue import History
from models.errors import UserError
from models.padding import PADDING
from models.serving import SeenItems, Serving
from models.trainable import TrainableRecommender
from tests.tiny import ITEMS, build, catalogue, walks

VARIANTS = [
    ("sasrec", {"loss": "bce"}),
    ("pad", {"loss": "bce", "item_layers": 1}),
    ("recmamba", {"loss": "ce"}),
    ("sigma", {"flip": "by-length"}),
    ("sigma", {"as_released": True}),
    ("slmrec", {"role": "teacher", "response": 3}),
    ("slmrec", {"exits": 0.5, "instruction": 0}),
    ("recmamba", {"as_released": True, "max_length": 50}),
    ("setrec", {"preset": "compact-causal"}),
    ("lite-llm4rec", {"item_llm": "ids"}),
    ("lite-llm4rec", {"item_llm_training": "frozen", "pooling": "last"}),
    ("lite-llm4rec", {"hierarchy": "flattened", "text_tokens": 8, "max_tokens": 64}),
    ("lite-llm4rec", {"backbone": "compact", "instruction": "what comes next"}),
    ("lite-llm4rec-beam", {"item_llm": "ids", "numbering": "collaborative"}),
    ("tiger", {"preset": "compact-llama", "targets": "all"}),
    ("openp5-llama", {"targets": "all"}),
]
CASES = [(name, {}) for name in registry.REGISTRY] + VARIANTS
K = 6


def label(case):
    name, settings = case
    return "-".join([name, *map(str, settings.values())]).replace(" ", "_")


@pytest.fixture(scope="module", params=CASES, ids=map(label, CASES))
def case(request):
    return request.param


@pytest.fixture(scope="module")
def shared(case):
    name, settings = case
    return build(name, **settings)


@pytest.fixture
def recommender(shared):
    shared.serving = Serving(beam_width=10 if shared.decoders else None)
    shared.index(catalogue())
    return shared


@torch.inference_mode()
def answer(recommender, histories, k=K):
    return recommender.recommend(recommender.prepare(histories), k)


def keep_seen(recommender, beam_width=10):
    recommender.serving = Serving(seen=SeenItems.KEEP, beam_width=beam_width if recommender.decoders else None)
    recommender.index(catalogue())


def assert_well_formed(found, users, k):
    """Exactly k places, best first, nothing twice, and unfilled places at the end and marked."""
    assert found.items.shape == found.scores.shape == (users, k)
    assert (found.items.dtype, found.scores.dtype) == (torch.int64, torch.float32)
    assert ((found.items >= 0) & (found.items <= ITEMS)).all()
    assert not found.scores.isnan().any()
    assert (found.scores[:, 1:] <= found.scores[:, :-1]).all()
    assert torch.equal(found.items == PADDING, found.scores == -torch.inf)
    for row in found.items.tolist():
        real = [item for item in row if item != PADDING]
        assert len(set(real)) == len(real)


def test_a_list_has_exactly_k_places_best_first_and_no_item_twice(recommender):
    found = answer(recommender, walks(8))
    assert_well_formed(found, 8, K)
    assert (found.items != PADDING).all()


def test_inputs_are_tensors_with_one_row_a_user(recommender):
    inputs = recommender.prepare(walks(5))
    assert inputs
    assert all(isinstance(value, torch.Tensor) and len(value) == 5 for value in inputs.values())
    assert all(value.device.type == "cpu" for value in inputs.values())


def test_the_seed_alone_decides_the_lists(case, recommender):
    """Torch's global generator, which other code has moved on, has no say, and is left as it was."""
    name, settings = case
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    again = build(name, serving=recommender.serving, **settings)
    assert torch.equal(torch.get_rng_state(), before)
    again.index(catalogue())
    first, second = answer(recommender, walks(8)), answer(again, walks(8))
    assert torch.equal(first.items, second.items)
    assert torch.equal(first.scores, second.scores)


def test_seen_items_are_removed_when_asked_and_come_back_when_kept(recommender):
    histories = [History(user, tuple(range(1, ITEMS - 9))) for user in range(3)]
    removed = answer(recommender, histories)
    assert_well_formed(removed, 3, K)
    assert (removed.items != PADDING).all()
    assert not set(removed.items.flatten().tolist()) & set(histories[0].items)
    keep_seen(recommender, beam_width=ITEMS)
    kept = answer(recommender, histories, ITEMS)
    assert all(set(row) >= set(histories[0].items) for row in kept.items.tolist())


def test_a_user_who_has_seen_everything_gets_an_empty_list(recommender):
    found = answer(recommender, [History(0, tuple(range(1, ITEMS + 1))), History(1, (3,))])
    assert (found.items[0] == PADDING).all()
    assert (found.items[1] != PADDING).all()


def test_an_empty_history_is_answered_alone_and_beside_others(recommender):
    empty = History(0, ())
    alone, beside = answer(recommender, [empty]), answer(recommender, [empty, *walks(3)[1:]])
    assert_well_formed(alone, 1, K)
    assert (alone.items != PADDING).all()
    torch.testing.assert_close(alone.scores[0], beside.scores[0], atol=1e-4, rtol=1e-4)


def test_of_a_history_longer_than_the_model_reads_only_the_newest_items_count(recommender):
    keep_seen(recommender)
    newest = tuple(step % 10 + 1 for step in range(120))
    found = answer(recommender, [History(0, newest), History(0, (30, 31, 32, *newest))])
    assert_well_formed(found, 2, K)
    torch.testing.assert_close(found.scores[0], found.scores[1], atol=1e-4, rtol=1e-4)
    recommender.serving = recommender.serving.model_copy(update={"seen": SeenItems.REMOVE})
    recommender.index(catalogue())
    unseen = answer(recommender, [History(0, (30, 31, 32, *newest))], ITEMS).items
    assert not {30, 31, 32} & set(unseen.flatten().tolist()), "the whole history is removed, not what is read of it"


def test_lists_longer_than_the_catalogue_end_in_padding(recommender):
    keep_seen(recommender, beam_width=ITEMS + 5)
    found = answer(recommender, walks(2), ITEMS + 5)
    assert_well_formed(found, 2, ITEMS + 5)
    assert ((found.items != PADDING).sum(1) == ITEMS).all()


def test_a_users_list_does_not_depend_on_who_else_is_in_the_batch(recommender):
    """Batches of 1 and of 8 agree but where scores are nearly equal."""
    histories = [*walks(7, longest=20), History(99, ())]
    together = answer(recommender, histories)
    for row, history in enumerate(histories):
        alone = answer(recommender, [history])
        assert same_up_to_ties(
            alone.items[0].numpy(),
            alone.scores[0].double().numpy(),
            together.items[row].numpy(),
            together.scores[row].double().numpy(),
            tolerance=1e-4,
        )


def test_a_longer_list_begins_with_the_shorter_one(recommender):
    short, long = answer(recommender, walks(4), 3), answer(recommender, walks(4), 6)
    torch.testing.assert_close(short.scores, long.scores[:, :3], atol=1e-4, rtol=1e-4)


def test_the_loss_falls(case):
    name, settings = case
    model = build(name, **settings)
    if not isinstance(model, TrainableRecommender):
        pytest.skip("nothing to train")
    examples = model.examples(walks(60))
    assert len(examples) == len(examples.lengths) > 0
    torch.manual_seed(0)
    batch = model.train().collate([examples[number] for number in range(16)])
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=3e-3)
    losses = []
    for _ in range(25):
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_saving_and_loading_gives_equal_lists(recommender, tmp_path):
    if not isinstance(recommender, TrainableRecommender):
        pytest.skip("nothing to save")
    recommender.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    torch.manual_seed(54321)
    again = type(recommender).from_pretrained(tmp_path).eval()
    again.serving = recommender.serving
    again.index(catalogue())
    before, after = answer(recommender, walks(8)), answer(again, walks(8))
    assert torch.equal(before.items, after.items)
    assert torch.equal(before.scores, after.scores)
    assert again.index_bytes == recommender.index_bytes


def test_in_int8_weights_are_lighter_work_is_the_same_and_lists_are_alike(case, recommender):
    name, settings = case
    rounded = build(name, serving=recommender.serving, **settings)
    rounded.round_weights()
    rounded.index(catalogue())
    subjects = [Subject("tiny", one, [walks(8)], K, torch.device("cpu")) for one in (recommender, rounded)]
    exact, int8 = (flops.opinions(subject, flops.count_request(subject)) for subject in subjects)
    if recommender.decoders:
        assert int8.per_user == exact.per_user
    else:
        assert exact.per_user <= int8.per_user < 1.1 * exact.per_user + 1, "nominees are scored again"
    assert int8.forward_per_user == pytest.approx(int8.fvcore_per_user, rel=0.01)
    found = answer(rounded, walks(8))
    assert_well_formed(found, 8, K)
    truth = answer(recommender, walks(8))
    overlap = [len(set(a) & set(b)) / K for a, b in zip(truth.items.tolist(), found.items.tolist(), strict=True)]
    assert sum(overlap) / len(overlap) > 0.5
    if isinstance(recommender, TrainableRecommender):
        assert weight_bytes(rounded) < 0.9 * weight_bytes(recommender)
        assert not torch.equal(truth.scores, found.scores)


def test_another_catalogue_is_refused(recommender):
    with pytest.raises(UserError, match=r"\S+"):
        recommender.index(catalogue(ITEMS - 1))


@pytest.mark.parametrize("name", registry.REGISTRY)
def test_an_unknown_setting_or_value_is_refused_with_the_known_ones(name):
    with pytest.raises(UserError, match=f"{name}: setting colour: .*its settings are preset, seed"):
        recipes.resolve(name, "toy", {"colour": "blue"})
    with pytest.raises(UserError, match=f"{name}: setting seed"):
        recipes.resolve(name, "toy", {"seed": "blue"})


def test_what_is_computed_is_marked_with_phases(recommender):
    """The phases that the dispatcher sees cover every operation that is counted."""
    subject = Subject("tiny", recommender, [walks(2)], K, torch.device("cpu"))
    counted = flops.count(lambda: recommender.recommend(subject.inputs(0), K))
    assert next(iter(counted.phases)) == "prepare"
    if isinstance(recommender, TrainableRecommender):
        assert counted.phases["encode"] > 0
        assert "rank" in counted.phases
    assert sum(counted.phases.values()) == counted.total


def test_one_forward_pass_can_be_traced_for_the_second_opinion(recommender):
    """Two counters that share no code agree to within a hundredth."""
    subject = Subject("tiny", recommender, [walks(2)], K, torch.device("cpu"))
    flop = flops.opinions(subject, flops.count_request(subject))
    assert flop.forward_per_user == pytest.approx(flop.fvcore_per_user, rel=0.01)

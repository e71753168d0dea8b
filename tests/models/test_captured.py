"""One pass replayed as a CUDA graph gives the lists of the pass itself."""

import gc

import pytest
import torch

from bench.measure.flops import count
from models import captured, graphs
from models.errors import UserError
from models.recommender import History, SeenItems, Serving
from tests.tiny import ITEMS, build, catalogue, walks

RECOMMENDERS = [
    ("sasrec", {}),
    ("sasrec", {"max_length": 70}),
    ("sigma", {}),
    ("slmrec", {}),
    ("lite-llm4rec", {}),
    ("lite-llm4rec", {"instruction": "what comes next", "item_llm": "ids"}),
    ("lite-llm4rec", {"backbone": "compact", "head": "items", "item_llm": "ids"}),
    ("lite-llm4rec", {"hierarchy": "flattened"}),
    ("tokenrec", {}),
    ("pad", {"max_length": 70}),
    ("p2rec", {}),
    ("setrec", {}),
    ("setrec", {"preset": "compact-causal"}),
]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


def requests():
    """Of several sizes, some of which share a bucket, one beyond it, one of a user without history."""
    long = History(9, tuple(1 + number % (ITEMS - 5) for number in range(90)))
    users = walks(7)
    return [users[:3], users[3:6], [long, users[0], users[1]], [History(8, ()), users[2], users[3]], users[:1]]


def served(recommender, *, replayed, device="cpu", seen=SeenItems.REMOVE):
    recommender.serving = Serving(seen=seen, captured=replayed)
    recommender.index(catalogue())
    with torch.inference_mode():
        return [recommender.recommend(recommender.prepare(request).to(device), 12) for request in requests()]


def assert_same(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.scores, other.scores, atol=tolerance, rtol=tolerance)
        clear = torch.cat([other.scores[:, :-1] - other.scores[:, 1:] > 2 * tolerance], dim=1)
        both = clear[:, 1:] & clear[:, :-1]  # places that no neighbour ties with
        assert torch.equal(one.items[:, 1:-1][both], other.items[:, 1:-1][both])
        assert both.float().mean() > 0.5


@pytest.fixture
def run_as_is(monkeypatch):
    """Leave the capture out: what remains is how requests are padded and told apart."""
    made = []

    def capture(whole, inputs, held):
        made.append([value.shape for value in inputs])
        return whole

    monkeypatch.setattr(captured, "capture", capture)
    return made


@pytest.mark.parametrize(("name", "settings"), RECOMMENDERS)
@pytest.mark.parametrize("seen", list(SeenItems))
def test_padding_to_a_bucket_changes_no_list(name, settings, seen, run_as_is):
    recommender = build(name, **settings)
    expected = served(recommender, replayed=False, seen=seen)
    assert not run_as_is
    assert_same(served(recommender, replayed=True, seen=seen), expected, 1e-5)
    assert len(run_as_is) <= 3 if settings.get("hierarchy") != "flattened" else len(run_as_is) <= 5
    assert recommender.compiles


def test_positions_bound_how_far_requests_are_padded(run_as_is):
    recommender = build("sasrec", max_length=70)
    served(recommender, replayed=True)
    widths = {shapes[0][1] for shapes in run_as_is}
    assert widths == {64, 70}


def test_operations_are_counted_as_if_nothing_were_captured():
    recommender = build("lite-llm4rec", serving=Serving(captured=True))
    recommender.index(catalogue())
    inputs = recommender.prepare(walks(2))
    counted = count(lambda: recommender.recommend(inputs, 5))
    recommender.serving = Serving()
    assert counted.total == count(lambda: recommender.recommend(inputs, 5)).total > 0


def test_without_a_gpu_it_is_one_clear_line():
    recommender = build("sasrec")
    with pytest.raises(UserError, match="this device is cpu: use --device cuda"):
        served(recommender, replayed=True)


@needs_gpu
@pytest.mark.parametrize(("name", "settings"), RECOMMENDERS)
def test_graphs_on_a_gpu_give_the_lists_of_the_pass(name, settings):
    """Asked twice, so that graphs which share memory are replayed out of order."""
    recommender = build(name, **settings).cuda()
    expected = served(recommender, replayed=False, device="cuda")
    assert_same(served(recommender, replayed=True, device="cuda"), expected, 1e-4)
    with torch.inference_mode():
        again = [recommender.recommend(recommender.prepare(one).to("cuda"), 12) for one in reversed(requests())]
    assert_same(again[::-1], expected, 1e-4)


@needs_gpu
def test_once_all_graphs_are_gone_others_can_be_captured():
    for _ in range(2):
        recommender = build("sasrec").cuda()
        served(recommender, replayed=True, device="cuda")
        del recommender
        gc.collect()
        assert not graphs._graphs[torch.device("cuda", 0)]

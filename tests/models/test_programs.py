"""One pass that runs as one program gives the lists of the pass itself."""

import gc

import pytest
import torch

from bench.measure.flops import count
from models import graphs, programs
from models.catalogue import History
from models.errors import UserError
from models.serving import SeenItems, Serving
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
    """Batches of several sizes, some of which share a bucket, one beyond it, one of a user without history."""
    long = History(9, tuple(1 + number % (ITEMS - 5) for number in range(90)))
    users = walks(7)
    return [users[:3], users[3:6], [long, users[0], users[1]], [History(8, ()), users[2], users[3]], users[:1]]


def served(recommender, *, replayed, device="cpu", seen=SeenItems.REMOVE):
    recommender.serving = Serving(seen=seen, compiled=replayed)
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
    """Leave the making of programs out: what remains is how requests are padded and told apart."""
    made = []

    def as_is(whole, inputs, recommender):
        made.append([value.shape for value in inputs])
        return whole

    monkeypatch.setattr(programs, "_program", as_is)
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
    assert widths == {32, 70}


def test_seen_items_are_padded_to_few_widths():
    widths = {programs._bucketed(torch.zeros(2, places, dtype=torch.int64), None).shape[1] for places in range(1, 1000)}
    assert widths == {64, 128, 256, 512, 1024}


def test_operations_are_counted_as_if_nothing_were_compiled():
    recommender = build("lite-llm4rec", serving=Serving(compiled=True))
    recommender.index(catalogue())
    inputs = recommender.prepare(walks(2))
    counted = count(lambda: recommender.recommend(inputs, 5))
    recommender.serving = Serving()
    assert counted.total == count(lambda: recommender.recommend(inputs, 5)).total > 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), [("sasrec", {}), ("lite-llm4rec", {"item_llm": "ids"})])
@pytest.mark.parametrize("ranker", [None, "exact-fused"])
def test_a_processors_programs_give_the_lists_of_the_pass(name, settings, ranker):
    """With a ranker inside of the program, and with one that cannot be; a program belongs to one ranker."""
    users = walks(3)
    recommender = build(name, **settings)
    with torch.inference_mode():
        recommender.serving = Serving(ranker=ranker)
        recommender.index(catalogue())
        expected = recommender.recommend(recommender.prepare(users), 12)
        recommender.serving = Serving(ranker=ranker, compiled=True)
        for _ in range(2):
            found = recommender.recommend(recommender.prepare(users), 12)
            assert_same([found], [expected], 1e-5)
    (program,) = recommender.programs
    assert program[0] == ("query" if ranker else ("exact", 12))


def test_without_a_compiler_it_is_one_clear_line(monkeypatch):
    def fails(*_, **__):
        raise torch._inductor.exc.InductorError(torch._inductor.exc.InvalidCxxCompiler(), None)

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fails)
    with pytest.raises(UserError, match="compiling needs a C\\+\\+ compiler"):
        served(build("sasrec"), replayed=True)


def test_programs_whose_surroundings_change_are_compiled_again(monkeypatch):
    """All programs share one function, whose limit is eight by default: ten of them, and one thing that changes."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda given, **options: real(given, backend="eager", **options))
    change = {"by": 1.0}

    def made(size):
        return programs.compiled(lambda given: (given * size + change["by"],))

    sizes = range(2, 12)
    made_ones = [made(size) for size in sizes]
    for added in (1.0, 2.0):
        change["by"] = added
        for size, program in zip(sizes, made_ones, strict=True):
            assert torch.equal(*program(torch.ones(size)), torch.full((size,), size + added))


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

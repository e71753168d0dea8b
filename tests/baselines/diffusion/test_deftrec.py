"""DeftRec: what is written, what is made of it, and that lists repeat."""

import pytest
import torch

from baselines.diffusion.deftrec.denoising import KEPT, Denoiser, Sampler
from baselines.diffusion.deftrec.prompts import SEEN
from bench.measure import flops
from models import registry
from models.catalogue import History
from models.errors import UserError
from models.serving import Serving
from tests.tiny import ITEMS, build, catalogue, walks


@pytest.fixture(scope="module")
def model():
    made = build("deftrec")
    made.index(catalogue())
    return made


class Oracle(Denoiser):
    """Knows the one vector that all noise was added to."""

    def __init__(self, clean):
        super().__init__(len(clean), 2, 4)
        self.clean = clean

    def forward(self, noisy, told, time):
        return (noisy - KEPT[time] ** 0.5 * self.clean) / (1 - KEPT[time]) ** 0.5


@pytest.mark.parametrize("sampler", [Sampler(100), Sampler(200, 2.0), Sampler(1000), Sampler(7)], ids=str)
def test_who_knows_the_noise_gets_the_vector_back(sampler):
    clean = torch.randn(6, dtype=torch.float64)
    noise = torch.randn(sampler.steps, 6, dtype=torch.float64)
    found = Oracle(clean).sample(torch.randn(3, 2), torch.zeros(2), noise, sampler)
    torch.testing.assert_close(found, clean.expand(3, -1), atol=1e-9, rtol=0)


def test_steps_are_spaced_over_all_that_were_trained_and_as_released_are_the_first():
    assert (Sampler(100).times[0], Sampler(100).times[-1], len(Sampler(100).times)) == (999, 9, 100)
    assert Sampler(1000).times == list(range(999, -1, -1))
    assert Sampler(100, first_steps=True).times == list(range(99, -1, -1))
    assert KEPT[99] > 0.85, "hardly any noise was added there"
    assert KEPT[999] < 1e-4


def test_without_a_weight_guidance_is_none_and_with_one_the_condition_counts_more():
    torch.manual_seed(0)
    denoiser = Denoiser(6, 4, 8).double().eval()
    condition, nothing = torch.randn(3, 4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    noise = torch.randn(20, 6, dtype=torch.float64)
    plain, zero, two = (denoiser.sample(condition, nothing, noise, Sampler(20, weight)) for weight in (None, 0.0, 2.0))
    torch.testing.assert_close(plain, zero, atol=1e-9, rtol=1e-9)
    assert not torch.allclose(plain, two)
    again = denoiser.sample(condition, nothing, noise, Sampler(20), told_once=False)
    torch.testing.assert_close(plain, again, atol=1e-12, rtol=0)


def test_items_nearest_to_the_vector_come_first_by_half_the_squared_distance(model):
    inputs = model.prepare(walks(4))
    with torch.inference_mode():
        tokens = torch.randint(5, 50, (4, 6))
        found = model.nearest(tokens, inputs["seen_items"], 8)
        vector = _vector_of(model, tokens)
    distances = torch.cdist(vector, model.item_vectors).square() / 2
    distances[:, 0] = torch.inf
    distances.scatter_(1, inputs["seen_items"], torch.inf)
    expected = distances.topk(8, largest=False)
    assert torch.equal(found.items, expected.indices)
    torch.testing.assert_close(found.scores, -expected.values, atol=1e-3, rtol=1e-3)


def _vector_of(model, tokens):
    kept = []
    sample = model.denoiser.sample
    try:
        model.denoiser.sample = lambda *given, **named: kept.append(sample(*given, **named)) or kept[0]
        model.nearest(tokens, None, 1)
    finally:
        del model.denoiser.sample
    return kept[0]


def test_what_stands_behind_an_end_does_not_count(model):
    end = model.config.end
    one = torch.tensor([[7, 8, end, 9, 10]]), torch.tensor([[7, 8, end]])
    with torch.inference_mode():
        first, second = (model.nearest(tokens, None, 5) for tokens in one)
    torch.testing.assert_close(first.scores, second.scores, atol=1e-5, rtol=1e-5)


def test_a_prompt_holds_tokens_of_each_item_and_the_beginning_of_its_title(model):
    model = build("deftrec", titles=True)
    tokens, numbers = model.request(SEEN[0], History(0, (4, 9)))
    assert [number for number in numbers if number] == [4, 4, 9, 9]
    said = model.texts.tokenizer.decode(tokens)
    assert "thing 3" in said
    assert "thing 8" in said
    assert said.endswith("Response :")
    tokens, numbers = build("deftrec", titles=False, tokens=3).request(SEEN[0], History(0, (4, 9)))
    assert [number for number in numbers if number] == [4, 4, 4, 9, 9, 9]
    assert "nothing" in model.texts.tokenizer.decode(model.request(SEEN[0], History(0, ()))[0])


def test_an_answer_names_category_and_title_and_ends(model):
    tokens = model.answer(4)
    assert tokens[-1] == model.config.end
    assert model.texts.tokenizer.decode(tokens[:-1]) == "The user may like ( kind 3 ) , such as thing 3"
    assert len(build("deftrec", new_tokens=4).answer(4)) == 4
    assert model.texts.tokenizer.decode(model.answer(ITEMS)[:-1]).endswith(f"i{ITEMS - 1}"), "no title: the identifier"


def test_continuous_tokens_stand_where_their_words_stood(model):
    inputs = model.prepare([History(0, (4, 9)), History(1, (9,))])
    with torch.inference_mode():
        embeddings = model.prompt(inputs).embeddings
        words = model.backbone.get_input_embeddings()(inputs["input_ids"])
    here = inputs["numbers"] > 0
    torch.testing.assert_close(embeddings[~here], words[~here])
    torch.testing.assert_close(embeddings[0][here[0]], model.item_tokens[[4, 9]].flatten(0, 1))


def test_as_released_the_first_item_is_lost_and_prompts_are_padded():
    released = build("deftrec", as_released=True)
    released.index(catalogue())
    assert released.prepare(walks(2))["input_ids"].shape == (2, 1024)
    _, numbers = released.request(SEEN[0], History(0, (4, 9, 4)))
    assert [number for number in numbers if number] == [9, 9, 4, 4]
    whole = build("deftrec")
    whole.index(catalogue())
    assert not torch.equal(whole.item_tokens, released.item_tokens), "values are masked"
    again = build("deftrec", as_released=True)
    again.index(catalogue())
    assert torch.equal(again.item_tokens, released.item_tokens), "by the seed"


def test_lists_repeat_and_another_seed_draws_other_noise(model):
    other = build("deftrec", seed=1)
    other.index(catalogue())
    assert not torch.equal(other.noise, model.noise)
    inputs = model.prepare(walks(3))
    with torch.inference_mode():
        first = model.recommend(inputs, 5)
        torch.manual_seed(77)
        second = model.recommend(inputs, 5)
    assert torch.equal(first.items, second.items)
    assert torch.equal(first.scores, second.scores)


def test_the_guided_decoder_asks_twice_as_often_and_twice_each_time():
    model = build("deftrec", new_tokens=2, serving=Serving(decoder="guided"))
    model.index(catalogue())
    inputs = model.prepare(walks(2))
    with torch.inference_mode():
        counted = flops.count(lambda: model.recommend(inputs, 3))
    assert sum(name.startswith("diffusion step") for name in counted.phases) == 200
    assert "decode step 2" in counted.phases
    model.serving = Serving(decoder="ddpm")
    model.index(catalogue())
    with torch.inference_mode():
        plain = flops.count(lambda: model.recommend(inputs, 3))
    steps = [sum(cost for name, cost in one.phases.items() if "diffusion" in name) for one in (plain, counted)]
    assert steps[1] == 4 * steps[0]
    assert plain.phases["diffusion step 1"] == plain.phases["diffusion step 100"] > 0


def test_pretraining_gives_vectors_of_variance_one():
    model = build("deftrec")
    before = model.item_vectors.clone()
    model.pretrain(walks(60))
    assert not torch.equal(before, model.item_vectors)
    assert float(model.item_vectors[1:].std()) == pytest.approx(1, abs=1e-3)
    assert (model.item_vectors[0] == 0).all()


@pytest.mark.parametrize("content", ["", "{}", '{"titles": ["a"], "answers": ["b"]}', '{"titles": 3, "answers": 4}'])
def test_damaged_texts_of_a_checkpoint_are_one_line(content, model, tmp_path):
    model.save_pretrained(tmp_path)
    (tmp_path / "texts.json").write_text(content)
    with pytest.raises(UserError, match=r"texts\.json .*train again"):
        type(model).from_pretrained(tmp_path)


def test_an_unknown_decoder_and_a_backbone_that_writes_nothing_are_refused(model):
    other = build("deftrec", serving=Serving(decoder="beams"))
    with pytest.raises(UserError, match="deftrec has no decoder 'beams': use one of ddpm, guided"):
        other.index(catalogue())
    kind = registry.load("deftrec")
    with pytest.raises(UserError, match="deftrec needs a decoder alone"):
        kind.build(catalogue(), walks(20), kind.settings_type(preset="t5-small"))

"""What command lines and recipes say: settings, devices, decoders, and what each recommender is trained with."""

import pytest

from bench.cli import options
from bench.suites import cases
from bench.training import recipes
from bench.training.recipes import Recipe
from models.errors import UserError
from models.serving import Scores


def test_generative_recommenders_alone_are_served_with_a_decoder():
    from models.decoder import Decoder
    from models.named import by_name
    from models.recommender import Recommender
    from models.serving import SeenItems

    class Writes(Recommender):
        decoders = by_name(Decoder("quick"), Decoder("slow"), Decoder("every-item", has_beams=False))

    class Scans(Recommender):
        pass

    def served(kind, decoder, seen=SeenItems.REMOVE):
        return options.serving_for("it", kind, decoder, 7, Scores.RENORMALISED, seen=seen)

    beam = served(Writes, "slow", SeenItems.KEEP)
    assert (beam.decoder, beam.beam_width, beam.scores, beam.seen) == ("slow", 7, Scores.RENORMALISED, SeenItems.KEEP)
    assert served(Writes, None).decoder == "quick"
    assert served(Writes, "every-item").beam_width is None
    one_pass = served(Scans, "slow")
    assert (one_pass.decoder, one_pass.beam_width) == (None, None)
    with pytest.raises(UserError, match="--decoder telepathy: it has quick, slow, every-item"):
        served(Writes, "telepathy")


def test_settings_and_devices_are_read_as_written():
    assert options.parse_settings(["loss=bce", " dropout = 0.4 ", "a=b=c"]) == {
        "loss": "bce",
        "dropout": "0.4",
        "a": "b=c",
    }
    assert options.choose_device("cpu").type == "cpu"
    assert options.choose_device(None).type in {"cpu", "cuda"}
    assert options.set_threads(None) == 1


def test_every_recipe_names_what_exists():
    """Each recommender resolves on each kind of dataset, and the tables have no key that nothing reads."""
    from models.registry import REGISTRY

    for name in REGISTRY:
        for dataset in ("synthetic", "ml-1m", "beauty"):
            settings, recipe = recipes.resolve(name, dataset, {})
            assert settings.preset == "compact"
            assert recipe.max_minutes > 0
    known = {"recommender", "dataset", "preset", "settings", "chosen", *Recipe.model_fields}
    assert all(set(table) <= known for table in recipes._tables())
    named = [
        name for table in recipes._tables() if "recommender" in table for name in recipes._names(table["recommender"])
    ]
    assert set(named) <= set(REGISTRY)


def test_a_recipe_may_hang_on_what_is_chosen():
    assert (
        recipes.resolve("sasrec", "beauty", {"loss": "bce"})[1].epochs
        > recipes.resolve("sasrec", "beauty", {})[1].epochs
    )
    settings, _ = recipes.resolve("lite-llm4rec", "beauty", {"item_llm": "minilm"})
    assert settings.text_tokens == 32
    named = cases.named_settings("lite-llm4rec", "beauty", settings)
    assert named == {"preset": "compact", "item_llm": "minilm"}, "what the recipe adds is not named"
    changed = settings.model_copy(update={"text_tokens": 8})
    assert cases.named_settings("lite-llm4rec", "beauty", changed)["text_tokens"] == 8


@pytest.mark.parametrize("written", [True, "true", "True"], ids=["toml", "command line", "python"])
def test_what_is_chosen_is_compared_as_the_setting_it_becomes(written):
    frozen = {"item_llm": "minilm", "item_llm_training": "frozen"}
    numbered, _ = recipes.resolve("lite-llm4rec", "beauty", frozen | {"item_ids": written})
    assert numbered.dropout > recipes.resolve("lite-llm4rec", "beauty", frozen)[0].dropout

"""What an SLMRec reads, and what a student has of its teacher."""

import pytest
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaModel

from baselines.one_pass.slmrec.distillation import block_ends, told
from bench.training import recipes
from models.catalogue import History
from models.errors import UserError
from tests.tiny import ITEMS, build, catalogue, walks


def slmrec(**settings):
    model = build("slmrec", **settings).double()
    model.index(catalogue())
    return model


def users():
    long = tuple(1 + 7 * number % ITEMS for number in range(35))
    return [History(0, ()), History(1, (3,)), History(2, long[:9]), History(3, long)]


@torch.no_grad()
def plain(model, history):
    """One user's prompt, read as it stands under the Llama's own causal mask."""
    items = list(history.items[-model.settings.max_length :]) or [0]
    read = model.into(model.vectors[torch.tensor([items])])
    prompt = torch.cat([model.instruction[None], read, model.response[None]], 1)
    return model.llm(inputs_embeds=prompt).last_hidden_state[:, -1]


@torch.no_grad()
@pytest.mark.parametrize(
    "settings", [{}, {"instruction": 0, "response": 3}, {"role": "teacher", "response": 2}], ids=str
)
def test_a_request_reads_instruction_items_and_response_whoever_else_is_in_the_batch(settings):
    model = slmrec(**settings)
    found = model.query_of(model.prepare(users()))
    expected = torch.cat([model.out_of(plain(model, one)) for one in users()])
    assert (found - expected).abs().max() < 1e-9


@torch.no_grad()
@pytest.mark.parametrize("settings", [{}, {"instruction": 0, "response": 3}], ids=str)
def test_all_prefixes_in_one_pass_give_what_each_gives_alone(settings):
    model = slmrec(**settings)
    items = users()[2].items
    numbers = torch.tensor([items, [*items[:4], 0, 0, 0, 0, 0]])
    ends = torch.arange(len(items)).expand(2, -1)
    states = model._states(model.into(model.vectors[numbers]), ends)
    assert len(states) == model.settings.depth + 1
    for end in range(len(items)):
        assert (states[-1][0, end] - plain(model, History(0, items[: end + 1]))).abs().max() < 1e-9
    assert (states[-1][0, :4] - states[-1][1, :4]).abs().max() < 1e-12, "padding behind a prefix is not seen"


def test_a_teacher_has_more_layers_and_a_student_begins_as_its_first_ones():
    teacher, student = slmrec(role="teacher", seed=4), slmrec()
    assert (len(teacher.llm.layers), len(student.llm.layers)) == (8, 2)
    student.learn_from(teacher)
    for name, value in student.state_dict().items():
        assert torch.equal(value, teacher.state_dict()[name]), name
    student.pretrain(walks(5))
    assert torch.equal(student.vectors, teacher.vectors), "the item vectors are the teacher's, and stay"


def loss_of(model):
    batch = model.collate([model.examples(walks(6))[number] for number in range(4)])
    return model(**batch).loss


def test_a_student_learns_from_its_teacher_and_the_teacher_nothing():
    teacher, student = slmrec(role="teacher", seed=4), slmrec()
    student.dropout.p = 0
    student.learn_from(teacher)
    student.train()
    with_teacher = loss_of(student)
    with_teacher.backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(weight.grad is not None for name, weight in student.named_parameters() if "embed_tokens" not in name)
    assert not any("taught_by" in name for name in student.state_dict())
    student.taught_by = ()
    assert with_teacher > loss_of(student)


def test_who_is_asked_for_as_teacher():
    assert slmrec(role="teacher").teacher is None
    assert slmrec(direction=0, length=0).teacher is None
    asked = slmrec(seed=3).teacher
    assert asked == {"role": "teacher", "preset": "compact", "seed": 3}
    with pytest.raises(UserError, match="a teacher of 2 layers"):
        slmrec(layers=4).learn_from(slmrec(role="teacher", layers=2))


def test_each_block_but_the_last_has_an_exit_where_asked():
    model = slmrec(role="teacher", blocks=4, exits=0.5)
    model.dropout.p = 0
    assert len(model.exits) == 3
    whole = loss_of(model.train())
    model.settings = model.settings.model_copy(update={"exits": 0.0})
    assert whole > loss_of(model)


def test_what_a_student_is_told_is_direction_and_length():
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    cosine = functional.cosine_similarity(ours, theirs, dim=2).mean(1)
    norm = (ours - theirs).norm(dim=2).mean(1)
    found = told(list(ours), list(theirs), direction=2.0, length=0.1)
    torch.testing.assert_close(found, (2 * (1 - cosine) + 0.1 * norm).sum())
    assert told([ours[0]], [ours[0]], direction=1.0, length=0.1).abs() < 1e-6


def test_blocks_are_of_equal_depth():
    assert block_ends(8, 4) == [2, 4, 6, 8]
    with pytest.raises(UserError, match="3 layers are no 2 blocks of equal depth"):
        recipes.resolve("slmrec", "toy", {"layers": 3})


def test_a_pretrained_llama_is_cut_to_its_first_layers(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "vocab_size": 20}
    whole = LlamaModel(LlamaConfig(**sizes, num_hidden_layers=5))
    whole.save_pretrained(tmp_path)
    model = slmrec(backbone=str(tmp_path), layers=2)
    assert model.llm.config.num_hidden_layers == len(model.llm.layers) == 2
    for ours, theirs in zip(model.llm.layers, whole.layers, strict=False):
        assert torch.equal(ours.mlp.up_proj.weight, theirs.mlp.up_proj.weight.double())
    assert slmrec(backbone=str(tmp_path), layers=2).teacher["backbone"] == str(tmp_path)
    with pytest.raises(UserError, match="is to keep 8 layers"):
        slmrec(backbone=str(tmp_path), role="teacher")

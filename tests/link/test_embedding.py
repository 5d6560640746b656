"""The hooks add the link to a backbone, and taking them off leaves no trace."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from superlink.errors import BackboneError, RoutingError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.link import LinkHooks, StateTap
from superlink.linked import BoundDecoder, LinkedModel
from superlink.testing import TOY_BOX, ToyBoxConfig, ToyBoxDecoder
from superlink.testing.backbones import tiny_backbone
from superlink.testing.models import toy_model

ARCHITECTURES = ["llava", "qwen2_5_vl"]
WITHOUT = "what is this"
WITH = (Message("user", "find"), Message("assistant", "<p>dog</p>[BOX]"))


@pytest.fixture(scope="module")
def models():
    return {name: toy_model(name) for name in ARCHITECTURES}


def encode(model, *messages):
    images = (Image.new("RGB", (40, 60), "red"),) * sum(m.num_images for m in messages)
    return model.processor.encode([Sample(messages, images)]).inputs


def count_hooks(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_without_routes_are_those_of_the_bare_model_bit_for_bit(architecture):
    bare, vocab = tiny_backbone(architecture), tiny_backbone(architecture).vocab_size
    hooks, old_ids = count_hooks(bare), dict(bare.tokenizer.get_vocab())
    text = bare.render([Message("user", (IMAGE, WITHOUT))], add_generation_prompt=True)
    inputs = bare.encode([text], [[Image.new("RGB", (40, 60), "red")]])
    before = bare(inputs).logits
    bound = BoundDecoder(TOY_BOX, ToyBoxDecoder(ToyBoxConfig()), ("[BOX]",), 2)
    model = LinkedModel(bare, [bound])

    linked = bare(inputs).logits
    assert torch.equal(linked[..., :vocab], before)
    assert linked.shape[-1] == vocab + len(model.vocabulary.controls)
    assert {token: bare.tokenizer.get_vocab()[token] for token in old_ids} == old_ids
    assert min(model.vocabulary.ids.values()) == max(old_ids.values()) + 1

    assert model.detach() is bare
    assert torch.equal(bare(inputs).logits, before)
    assert count_hooks(bare) == hooks


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_queries_change_what_stands_behind_them_alone(models, architecture):
    model = models[architecture]
    inputs = encode(model, *WITH)
    position = model.processor.encode([Sample(WITH)]).routes[0].position
    before = model.backbone(inputs).last_hidden_state
    bank = model.queries.banks["toy-box"]
    with torch.no_grad():
        kept = bank.clone()
        bank += torch.randn_like(bank)
        after = model.backbone(inputs).last_hidden_state
        bank.copy_(kept)
    assert torch.equal(before[:, : position + 1], after[:, : position + 1])
    assert (before[:, position + 1 :] - after[:, position + 1 :]).abs().amin(-1).gt(0).all()


def test_copy_of_a_model_uses_its_own_queries_and_detaches_alone(models):
    model = models["llava"]
    inputs, twin = encode(model, *WITH), copy.deepcopy(model)
    before = model.backbone(inputs).logits
    assert torch.equal(twin.backbone(inputs).logits, before)
    with torch.no_grad():
        twin.queries.banks["toy-box"].add_(1)
        twin.queries.tokens.add_(1)
    assert torch.equal(model.backbone(inputs).logits, before)
    assert not torch.equal(twin.backbone(inputs).logits, before)
    twin.detach()
    assert count_hooks(twin) == 0
    assert torch.equal(model.backbone(inputs).logits, before)


def test_second_link_on_a_backbone_is_refused_until_the_first_is_off():
    first = toy_model(specs=[TOY_BOX])
    bound = [first.bound["toy.box"]]
    with pytest.raises(RoutingError, match="detach"):
        LinkedModel(first.backbone, bound)
    second = LinkedModel(first.detach(), bound)
    assert second.vocabulary.ids == first.vocabulary.ids
    assert second.backbone(encode(second, *WITH)).logits.isfinite().all()


def test_attaching_again_replaces_the_hooks():
    model = toy_model()
    inputs, hooks = encode(model, *WITH), count_hooks(model)
    before = model.backbone(inputs).logits
    model.hooks.attach(model.backbone)
    assert count_hooks(model) == hooks
    assert torch.equal(model.backbone(inputs).logits, before)


def test_link_follows_an_embedding_that_was_exchanged():
    model = toy_model("qwen2_5_vl")
    inputs = encode(model, *WITH)
    before = model.backbone(inputs).logits
    old = model.backbone.model.get_input_embeddings()
    fresh = nn.Embedding.from_pretrained(old.weight.detach().clone(), freeze=False)
    model.backbone.model.set_input_embeddings(fresh)
    assert torch.equal(model.backbone(inputs).logits, before)
    assert not old._forward_hooks and not old._forward_pre_hooks
    model.detach()
    assert not fresh._forward_hooks and not model.backbone._forward_pre_hooks


def test_link_follows_tables_that_have_grown():
    model = toy_model("qwen2_5_vl")
    inputs = encode(model, *WITH)
    before = model.backbone(inputs)
    model.backbone.model.resize_token_embeddings(model.backbone.vocab_size + 64)
    after = model.backbone(inputs)
    assert torch.equal(after.last_hidden_state, before.last_hidden_state)
    controls = [model.vocabulary.ids[token] for token in model.vocabulary.controls]
    assert torch.allclose(after.logits[..., controls], before.logits[..., controls], atol=1e-6)


class LooksUpElsewhere(nn.Module):
    """A backbone whose forward does not use the embedding that it names."""

    vocab_size = 8

    def __init__(self):
        super().__init__()
        self.named, self.used = nn.Embedding(8, 4), nn.Embedding(99, 4)
        self.head = nn.Linear(4, 8, bias=False)
        self.skips_head = False

    def embedding_modules(self):
        return [self.named]

    def output_head(self):
        return self.head

    def side_embeddings(self):
        return []

    def forward(self, inputs):
        states = self.used(inputs["input_ids"])
        logits = states @ self.head.weight.T if self.skips_head else self.head(states)
        return SimpleNamespace(logits=logits)


class Rows:
    def input_rows(self):
        return torch.ones(2, 4)

    def output_rows(self):
        return torch.ones(1, 4)


def test_model_that_looks_ids_up_elsewhere_is_refused_where_they_hold_slots():
    backbone = LooksUpElsewhere()
    LinkHooks(Rows(), [8, 9], num_controls=1, vocab_size=8).attach(backbone)
    assert backbone({"input_ids": torch.tensor([[1, 2]])}).logits.shape == (1, 2, 9)
    with pytest.raises(BackboneError, match="did not, so that the queries were not used"):
        backbone(inputs={"input_ids": torch.tensor([[1, 8, 9]])})


@pytest.mark.parametrize(("ids", "columns"), [([5, 6], 8), ([10, 11], 11)])
def test_ids_inside_the_table_or_beyond_a_gap_get_their_columns(ids, columns):
    backbone = LooksUpElsewhere()
    backbone.used = backbone.named
    LinkHooks(Rows(), ids, num_controls=1, vocab_size=8).attach(backbone)
    logits = backbone({"input_ids": torch.tensor([[1, *ids]])}).logits  # the table has no such rows
    bare = backbone.head.weight.new_zeros(columns).index_fill(0, torch.arange(8, columns), -1)
    assert logits.shape == (1, 3, columns)
    assert torch.allclose(logits[0, 1:, ids[0]], torch.tensor(4.0))
    assert (logits[..., bare < 0].isinf() == (torch.arange(8, columns) != ids[0])).all()


def test_model_that_goes_past_its_head_is_refused():
    backbone = LooksUpElsewhere()
    backbone.skips_head = True
    LinkHooks(Rows(), [8, 9], num_controls=1, vocab_size=8).attach(backbone)
    with pytest.raises(BackboneError, match="call its `output_head"):
        backbone({"input_ids": torch.tensor([[1, 2]])})


def test_two_tokens_with_one_id_are_refused():
    with pytest.raises(RoutingError, match="an id of its own"):
        LinkHooks(Rows(), [8, 8], num_controls=1, vocab_size=8)


def test_tap_of_a_head_that_is_not_called_is_refused():
    with (
        pytest.raises(BackboneError, match="output head in each forward"),
        StateTap().on(nn.Identity()) as tap,
    ):
        _ = tap.states

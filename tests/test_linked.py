"""One training forward: losses, gradients, shared image features, and idle decoders."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn

from superlink.errors import BackboneError, ConfigError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.linked import BoundDecoder, LinkedModel
from superlink.testing import TOY_BOX, ToyBoxConfig, ToyBoxDecoder
from superlink.testing.backbones import tiny_backbone
from superlink.testing.models import TOY_SPOT, toy_model

ARCHITECTURES = ["llava", "qwen2_5_vl"]
TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]]), "labels": torch.tensor([0])}


class SharingDecoder(ToyBoxDecoder):
    """A toy decoder that looks at the maps of the backbone's image encoder as well."""

    uses_image_features = True

    def __init__(self, config, channels=16):
        super().__init__(config)
        self.reduce = nn.Conv2d(channels, config.cond_size, 1)
        self.seen = None

    def loss(self, links, inputs):
        self.seen = inputs["image_features"]
        extra = self.reduce(inputs["image_features"][0]).mean((2, 3))
        return super().loss(replace(links, states=links.states + extra[links.calls]), inputs)


class OwnConnector(ToyBoxDecoder):
    """A toy decoder whose connector passes the states on as they are."""

    def build_connector(self, hidden_size, token):
        return nn.Sequential()


def bound(spec, decoder=None):
    decoder = decoder or ToyBoxDecoder(ToyBoxConfig())
    return BoundDecoder(spec, decoder, spec.routing_tokens, spec.num_queries)


def sample(answer="<p>dog</p>[BOX].", targets=(TARGET,), color="red"):
    messages = (Message("user", (IMAGE, "Find: dog")), Message("assistant", answer))
    return Sample(messages, (Image.new("RGB", (40, 60), color),), targets=targets)


@pytest.fixture(scope="module")
def models():
    return {name: toy_model(name) for name in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def model(models, request):
    yield models[request.param]
    models[request.param].zero_grad()


def llm_gradient(model):
    layers = [p for n, p in model.backbone.named_parameters() if "layers.0." in n and "mlp" in n]
    return sum(0.0 if p.grad is None else float(p.grad.abs().sum()) for p in layers)


def bank_gradient(model, name="toy-box"):
    grad = model.queries.banks[name].grad
    return 0.0 if grad is None else float(grad.abs().sum())


def test_decoder_loss_reaches_queries_and_llm(model):
    out = model(**model.processor([sample(), sample("no dog", targets=())]))
    total, count = out.losses["toy.box/l1"]
    (total / count).backward()
    assert bank_gradient(model) > 0
    assert llm_gradient(model) > 0
    assert model.queries.banks["toy-spot"].grad.abs().sum() == 0  # another bank, not called
    assert model.queries.tokens.grad[2].abs().sum() > 0  # the routing token stands before it


def test_condition_is_made_of_the_last_states_of_the_slots(model):
    batch = model.processor([sample("no dog", targets=()), sample()])
    with torch.no_grad():
        links = model(**batch).links["toy.box"]
        hidden = model.backbone(batch["inputs"]).last_hidden_state
    ids = batch["inputs"]["input_ids"]
    slots = [model.vocabulary.ids[f"<|toy.box_{i}|>"] for i in range(2)]
    states = torch.stack([hidden[ids == slot] for slot in slots], dim=1)  # (R, Q, C)
    with torch.no_grad():
        expected = model.connectors["toy-box/toy-box"](states)
    assert torch.allclose(links.states, expected, atol=1e-5)
    assert (links.tokens, links.phrases, links.num_calls) == (("[BOX]",), ("dog",), 1)


def test_stop_gradient_ends_the_decoder_loss_at_the_connector(model):
    model.stop_gradient = True
    try:
        out = model(**model.processor([sample()]))
        out.losses["toy.box/l1"][0].backward()
    finally:
        model.stop_gradient = False
    assert bank_gradient(model) == llm_gradient(model) == 0
    connector = next(iter(model.connectors.values()))
    assert connector.mlp[0].weight.grad.abs().sum() > 0


def test_language_loss_supervises_the_routing_token_and_reaches_the_queries(model):
    out = model(**model.processor([sample()], run_decoders=False))
    total, count = out.losses["lm"]
    assert out.loss == total / count
    total.backward()
    assert bank_gradient(model) > 0  # the last slot predicts the token behind the slots
    outputs = model.queries.output_rows().grad
    assert outputs[2].abs().sum() > 0


def test_language_loss_is_cross_entropy_of_the_next_token_outside_of_slots(model):
    batch = model.processor([sample()])
    with torch.no_grad():
        out, whole = model(**batch), model(batch["inputs"])
    logits, labels = whole.logits[0, :-1].log_softmax(-1), batch["labels"][0, 1:]
    kept = labels != -100
    expected = -logits[kept].gather(1, labels[kept, None]).sum()
    assert torch.allclose(out.losses["lm"][0], expected)
    assert out.losses["lm"][1] == kept.sum()
    assert out.logits.shape[1] < whole.logits.shape[1]  # the question has no label


def test_batch_of_mixed_rows_gives_the_losses_of_its_rows(model):
    rows = [
        sample("no dog here", targets=()),
        sample(),
        sample("<p>dog</p>[BOX] <p>cat</p>[SPOT] <p>car</p>[DOT] x", (TARGET,) * 3, "blue"),
    ]
    with torch.no_grad():
        together = model(**model.processor(rows))
        alone = [model(**model.processor([row])) for row in rows]
    for name, (total, count) in together.losses.items():
        parts = [out.losses[name] for out in alone if name in out.losses]
        assert torch.allclose(total, sum(value for value, _ in parts), atol=1e-4)
        assert float(count) == sum(float(number) for _, number in parts)
    states = together.links["toy.box"].states
    singles = torch.cat([out.links["toy.box"].states for out in alone[1:]])
    assert (states - singles).abs().max() <= 1e-4
    assert together.links["toy.spot"].calls.tolist() == [0, 1]


def test_a_batch_in_which_only_the_second_row_has_a_route_works(model):
    rows = [sample("no dog here", targets=()), sample()]
    gradients = []
    for batch in (rows, rows[1:]):
        model.zero_grad()
        total, count = model(**model.processor(batch)).losses["toy.box/l1"]
        (total / count).backward()
        gradients.append(model.queries.banks["toy-box"].grad.clone())
    assert gradients[1].abs().sum() > 0
    assert torch.allclose(*gradients, atol=1e-5)
    answers = [Sample(row.messages, row.images) for row in rows]
    replies = model.answer(answers, "forced")
    assert [len(reply.predictions) for reply in replies] == [0, 1]


def test_a_lesson_in_words_is_linked_and_no_decoder_runs_for_it(models):
    """A list without an image teaches the LLM and the links, and leaves the losses of decoders."""
    model = models["llava"]
    words = Sample((Message("user", "Find: cat"), Message("assistant", "<p>cat</p>[BOX]")))
    mixed = model.processor([words, sample(), words])
    alone = model.processor([sample()])
    out, expected = (model(**{**batch, "dropped": None}) for batch in (mixed, alone))
    for name, (total, count) in expected.losses.items():
        if name != "lm":
            torch.testing.assert_close(out.losses[name][0], total, rtol=1e-4, atol=1e-4)
            assert out.losses[name][1] == count
    assert out.losses["lm"][1] > expected.losses["lm"][1]
    assert sorted(out.links["toy.box"].phrases) == ["cat", "cat", "dog"]
    only = model(**{**model.processor([words]), "dropped": None})
    assert set(only.losses) == {"lm"}
    assert only.links["toy.box"].phrases == ("cat",)


@pytest.mark.parametrize("part", ["lm", "toy.box/l1"])
def test_every_loss_trains_the_image_encoder_of_the_llm_where_it_is_not_frozen(model, part):
    vision = [(n, p) for n, p in model.backbone.named_parameters() if "vis" in n]
    kept = [parameter.requires_grad for _, parameter in vision]
    try:
        for _, parameter in vision:
            parameter.requires_grad_()
        model(**model.processor([sample()])).losses[part][0].backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for _, p in vision)
    finally:
        for (_, parameter), before in zip(vision, kept, strict=True):
            parameter.requires_grad_(before)


def test_loss_weights_scale_the_sum(models):
    model = models["llava"]
    batch = model.processor([sample()])
    kept = dict(model.bound)
    with torch.no_grad():
        out = model(**batch)
        model.lm_weight, model.bound["toy.box"] = 0.5, replace(kept["toy.box"], loss_weight=3.0)
        weighted = model(**batch)
        model.lm_weight, model.bound = 1.0, kept
    (lm, tokens), (l1, boxes) = out.losses["lm"], out.losses["toy.box/l1"]
    assert torch.allclose(weighted.loss, 0.5 * lm / tokens + 3.0 * l1 / boxes)


def linked(*decoders, architecture="llava"):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LinkedModel(tiny_backbone(architecture), decoders)


@pytest.mark.parametrize("answer", ["no dog", "<p>dog</p>[BOX]"])
def test_idle_decoders_get_zero_gradients_everywhere(answer):
    model = linked(bound(TOY_BOX), bound(TOY_SPOT, SharingDecoder(ToyBoxConfig())))
    model.idle = True
    batch = model.processor([sample(answer, (TARGET,) if "[BOX]" in answer else ())])
    model(**batch).loss.backward()
    idle = [model.decoders["toy-spot"], model.connectors["toy-spot/toy-spot"]]
    idle += [model.connectors["toy-spot/toy-dots"]]
    if "[BOX]" not in answer:
        idle += [model.decoders["toy-box"], model.connectors["toy-box/toy-box"]]
    for module in idle:
        assert all(p.grad is not None and p.grad.abs().sum() == 0 for p in module.parameters())
    assert all(p.grad is not None for p in model.queries.parameters())


def test_idle_loss_changes_neither_the_loss_nor_other_gradients():
    model = linked(bound(TOY_BOX), bound(TOY_SPOT, SharingDecoder(ToyBoxConfig())))
    batch, results = model.processor([sample()]), []
    for model.idle in (False, True):
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        results.append((loss.detach(), model.queries.banks["toy-box"].grad.clone()))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.allclose(results[0][1], results[1][1])


def test_shared_image_features_are_those_of_the_image_of_the_call():
    decoder = SharingDecoder(ToyBoxConfig())
    model = linked(bound(TOY_BOX, decoder))
    batch = model.processor([sample("no dog", (), "red"), sample(color="blue")])
    runs = []
    handle = model.backbone.model.model.vision_tower.register_forward_hook(
        lambda *args: runs.append(args[-1].hidden_states[0])
    )
    out = model(**batch)
    handle.remove()
    assert len(runs) == 1  # one pass for the LLM and for the decoder
    assert torch.equal(decoder.seen[0], runs[0][1:])
    out.losses["toy.box/l1"][0].backward()
    tower = model.backbone.model.model.vision_tower
    assert tower.stages["stride8"][0].weight.grad.abs().sum() > 0
    bare = linked(bound(TOY_BOX))
    assert torch.allclose(bare(**batch).logits, out.logits, atol=1e-5)


def test_call_without_an_image_shares_no_features_of_another_one():
    spec = replace(TOY_BOX, needs_image=False)
    model = linked(bound(spec, SharingDecoder(ToyBoxConfig())))
    inputs = model.processor([sample()])["inputs"]
    features = model.image_features(inputs, ["toy.box"])
    batch = model.with_features("toy.box", {"image_index": torch.tensor([-1, 0])}, features)
    assert all(m[0].abs().sum() == 0 and m[1].abs().sum() > 0 for m in batch["image_features"])


def test_decoder_that_shares_features_of_a_backbone_without_maps_is_refused():
    model = linked(bound(TOY_BOX, SharingDecoder(ToyBoxConfig())), architecture="qwen2_5_vl")
    with pytest.raises(BackboneError, match=r"'toy.box' shares the feature maps"):
        model(**model.processor([sample()]))


def test_shared_bank_serves_decoders_of_different_widths():
    spec = replace(TOY_SPOT, num_queries=2, banks={"[SPOT]": "toy.box", "[DOT]": "toy.box"})
    wide = bound(spec, ToyBoxDecoder(ToyBoxConfig(cond_size=24)))
    model = linked(bound(TOY_BOX), wide)
    assert list(model.queries.banks) == ["toy-box"]
    out = model(**model.processor([sample("[BOX] [SPOT] [DOT]", (TARGET,) * 3)]))
    assert out.links["toy.box"].states.shape == (1, 16)
    assert out.links["toy.spot"].states.shape == (2, 24)


def test_connector_of_the_decoder_is_used_even_when_it_is_empty():
    model = linked(bound(TOY_BOX, OwnConnector(ToyBoxConfig())))
    assert isinstance(model.connectors["toy-box/toy-box"], nn.Sequential)


@pytest.mark.parametrize("decoders", [(), (bound(TOY_BOX), bound(TOY_BOX))])
def test_model_needs_decoders_each_once(decoders):
    with pytest.raises(ConfigError, match="A model needs decoders, each once"):
        LinkedModel(tiny_backbone(), decoders)


def test_slots_take_the_queries_of_their_own_bank_whatever_the_names():
    late = replace(TOY_BOX, name="zeta", routing_tokens=("[ZETA]",), num_queries=1)
    early = replace(TOY_BOX, name="acme", routing_tokens=("[ACME]",), num_queries=3)
    model = toy_model(specs=(late, early))
    for bank, slots in model.vocabulary.slots.items():
        ids = torch.tensor([[model.vocabulary.ids[slot] for slot in slots]])
        values = model.backbone.embedding_modules()[0](ids)[0]
        assert torch.equal(values, model.queries.banks[bank])


def test_stop_gradient_ends_the_decoder_loss_at_shared_features():
    model = linked(bound(TOY_BOX, SharingDecoder(ToyBoxConfig())))
    model.stop_gradient = True
    model(**model.processor([sample()])).losses["toy.box/l1"][0].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.backbone.parameters())


def test_idle_connectors_of_tokens_that_nobody_called_get_a_gradient():
    model = toy_model()
    model.idle = True
    model(**model.processor([sample("<p>dog</p>[SPOT]")])).loss.backward()
    missing = [n for n, p in model.connectors.named_parameters() if p.grad is None]
    assert missing == []
    dots = model.connectors["toy-spot/toy-dots"]
    assert all(not parameter.grad.any() for parameter in dots.parameters())


def test_condition_that_is_no_number_keeps_the_decoder_from_running():
    class Watched(ToyBoxDecoder):
        def loss(self, links, inputs):
            raise AssertionError("it must not run")

    decoder = Watched(ToyBoxConfig())
    model = LinkedModel(tiny_backbone("llava"), [bound(TOY_BOX, decoder)])
    with torch.no_grad():
        model.queries.banks["toy-box"].fill_(torch.nan)
    batch = {**model.processor([sample()])}
    losses = model(**batch).losses
    assert losses["toy.box/condition"][0].isnan()


def test_decoder_keeps_its_statistics_before_anybody_sets_a_mode():
    class Keeping(ToyBoxDecoder):
        def __init__(self, config):
            super().__init__(config)
            self.norm = nn.BatchNorm1d(2)

        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            return self

    decoder = Keeping(ToyBoxConfig())
    LinkedModel(tiny_backbone("llava"), [bound(TOY_BOX, decoder)])
    assert (decoder.training, decoder.norm.training) == (True, False)

"""What is logged beside losses: gradient norms that add up, and counts per second."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from superlink.interfaces import Message, Sample
from superlink.link.processing import IGNORE
from superlink.testing.models import toy_model
from superlink.training.monitor import RATES, Throughput, part_norms, trained_parts


@pytest.fixture
def model():
    model = toy_model("llava")
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


def lesson(model):
    sample = Sample((Message("user", "Find: dog"), Message("assistant", "a dog")))
    batch = model.processor([sample], run_decoders=False)
    model(batch["inputs"], batch["labels"]).losses["lm"][0].backward()


def test_norms_of_parts_make_up_the_norm_of_all(model):
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    norms = part_norms(model)
    decoders = {f"decoder {name}" for name in model.bound}
    assert set(norms) == {"backbone", "queries", "connectors", *decoders}
    whole = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
    assert sum(norm**2 for norm in norms.values()) == pytest.approx(float(whole) ** 2, rel=1e-5)


def test_part_that_nothing_reached_has_no_norm_and_a_frozen_one_is_missing(model):
    model.connectors.requires_grad_(False)
    assert part_norms(model) == {}
    lesson(model)
    norms = part_norms(model)
    assert norms["backbone"] > 0
    assert [norms[f"decoder {name}"] for name in model.bound] == [0.0, 0.0]
    assert "connectors" not in norms and "connectors" not in trained_parts(model)


@pytest.fixture
def mesh(tmp_path):
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def test_sharded_gradients_are_put_together(model, mesh):
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    norms = part_norms(model)
    weight = model.queries.tokens
    gradient = weight.grad
    weight.grad = None
    sharded = torch.nn.Parameter(distribute_tensor(weight.detach(), mesh, [Shard(0)]))
    sharded.grad = distribute_tensor(gradient, mesh, [Shard(0)])
    model.queries.tokens = sharded
    assert part_norms(model) == pytest.approx(norms)


def batch(*supervised, width=6):
    """Rows of `width` tokens, of which so many are taught."""
    labels = torch.full((len(supervised), width), IGNORE)
    for row, count in enumerate(supervised):
        labels[row, width - count :] = 1
    return {"labels": labels, "inputs": {"attention_mask": torch.ones(len(supervised), width)}}


def test_throughput_counts_since_it_was_asked(monkeypatch):
    times = iter([0.0, 1.0, 2.0, 2.0, 4.0, 4.0])
    rate = Throughput(lambda: next(times))
    rate.start()
    rate.add(batch(3, 2))
    rate.add(batch(1))
    assert rate.read() == dict(zip(RATES, [3.0, 6.0, 18.0], strict=True))
    rate.add(batch(4))
    assert rate.read(lambda counts: counts * 2) == dict(zip(RATES, [1.0, 4.0, 6.0], strict=True))


def test_throughput_leaves_out_rows_that_teach_nothing():
    times = iter([0.0, 1.0, 1.0])
    rate = Throughput(lambda: next(times))
    rate.add(batch(3, 0))
    assert list(rate.read().values()) == [1.0, 3.0, 6.0]


def test_throughput_of_nothing_is_not_told():
    assert Throughput().read() == {}

"""Runs that were broken on purpose, and what a diagnosis says of each; and one that is healthy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from superlink.diagnosis import links
from superlink.diagnosis.links import SYMPTOMS, find_run
from superlink.diagnosis.links.bounds import LIKELIEST_FREE
from superlink.errors import InputError
from superlink.testing.toy_decoder import ToyBoxDecoder
from superlink.training.lock import RunLock

PAGE = Path(__file__).parents[3] / SYMPTOMS
DECODER = "toy.detection"


def strict(loss):
    """The loss of a decoder of a library that refuses what is no number."""

    def refusing(self, links, inputs):
        terms = loss(self, links, inputs)
        if not all(value.isfinite() for value, _ in terms.values()):
            raise ValueError("matrix contains invalid numeric entries")
        return terms

    return refusing


def problems(found):
    return {key for key, finding in found.items() if finding.status == "problem"}


def has_entry(anchor):
    """Whether the page of symptoms has a heading for it."""
    headings = re.findall(r"^#+ (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}


@pytest.fixture
def spoiled(look, learned):
    """What is found where the model of the healthy run is spoiled."""

    def spoiled(spoil):
        def without_gradient(model):
            with torch.no_grad():
                spoil(model)

        return look(learned, without_gradient)

    return spoiled


def test_healthy_run_has_no_problem(look, learned):
    done = []
    found = look(learned, advance=done.append)
    assert {finding.status for finding in found.values()} == {"ok"}
    checks = {check for check, _ in found}
    assert checks == {
        *("routing tokens", "replies", "gradients", "queries", "conditions", "token rows"),
        "losses",
    }
    assert found["routing tokens", "[DET]"].figures["likeliest"] == 1
    assert found["conditions", DECODER].figures["spread"] > 0.2
    assert sum(done) == 8  # four samples, and four replies


def test_every_entry_that_findings_lead_to_is_on_the_page():
    folder = Path(links.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    anchors = set(re.findall(r'"([a-z]+(?:-[a-z]+){2,})"', text))
    assert len(anchors) >= 7
    assert {anchor for anchor in anchors if not has_entry(anchor)} == set()


def test_everything_that_is_wrong_is_said_with_what_to_do(look, run):
    found = look(run(steps=10, lm_weight=0.0, stop_gradient=True, learning_rates={"queries": 0}))
    bad = [finding for finding in found.values() if finding.status != "ok"]
    assert len({finding.anchor for finding in bad}) >= 3
    assert all(finding.symptom and finding.advice and finding.anchor for finding in bad)


def test_token_that_never_comes_names_the_weight_of_the_language_loss(look, run):
    found = look(run(steps=6, lm_weight=0.0))
    token = found["routing tokens", "[DET]"]
    assert token.status == "problem"
    assert token.figures["likeliest"] == 0
    assert "where [DET] should come" in token.symptom
    assert "`lm_weight` is 0" in token.advice
    assert found["replies", "4 generated"].figures["served"] == 0
    assert {("gradients", "lm"), ("routing tokens", "[DET]")} <= problems(found)


def test_rows_without_a_rate_are_named(look, run):
    found = look(run(steps=6, learning_rates={"queries.tokens": 0}))
    assert found["routing tokens", "[DET]"].status == "problem"
    assert "`queries.tokens` has the rate 0" in found["routing tokens", "[DET]"].advice
    assert "queries.tokens" in found["recipe", "tiny"].symptom


def test_stopped_gradient_reaches_neither_queries_nor_llm(look, run):
    found = look(run(steps=6, stop_gradient=True))
    gradient = found["gradients", DECODER]
    assert gradient.status == "problem"
    assert gradient.figures["queries"] == gradient.figures["backbone"] == 0
    assert gradient.figures["connectors"] > 0
    assert "does not reach the queries, nor the LLM" in gradient.symptom
    assert "`stop_gradient` is true" in gradient.advice


def test_queries_that_are_one_another_have_collapsed(spoiled):
    def spoil(model):
        bank = model.queries.banks["toy-detection"]
        bank.copy_(bank[:1].expand_as(bank))

    bank = spoiled(spoil)["queries", DECODER]
    assert bank.status == "problem"
    assert bank.figures["cosine"] == pytest.approx(1)


def test_condition_that_is_the_same_for_all_phrases_is_found(spoiled):
    def spoil(model):
        last = [m for m in model.connectors.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.weight.zero_()

    found = spoiled(spoil)
    assert found["conditions", DECODER].status == "problem"
    assert "told the same whatever the phrase is" in found["conditions", DECODER].symptom


def test_rows_that_have_run_away_are_found(spoiled):
    rows = spoiled(lambda model: model.queries.tokens.mul_(20))["token rows", "input rows"]
    assert rows.status == "problem"
    assert rows.figures["longest"] > 10


def test_weights_that_are_no_numbers_are_the_one_problem(spoiled):
    found = spoiled(lambda model: model.queries.tokens.fill_(torch.nan))
    assert problems(found) == {("weights", "all")}
    assert next(iter(found)) == ("weights", "all")
    assert "queries.tokens" in found["weights", "all"].symptom
    assert not any("nan" in finding.measured for finding in found.values())


def test_losses_that_are_no_numbers_come_before_what_hangs_on_them(spoiled):
    found = spoiled(lambda model: model.bound[DECODER].decoder.head.weight.fill_(3e38))
    assert next(iter(found)) == ("losses", "of the diagnosis")
    assert f"{DECODER}/l1" in found["losses", "of the diagnosis"].symptom
    assert problems(found) == {("losses", "of the diagnosis")}


def test_decoder_that_fails_on_what_is_no_number_is_found_out(spoiled, monkeypatch):
    monkeypatch.setattr(ToyBoxDecoder, "loss", strict(ToyBoxDecoder.loss))
    found = spoiled(lambda model: model.bound[DECODER].decoder.head.weight.fill_(3e38))
    assert f"{DECODER}/output of head" in found["losses", "of the diagnosis"].symptom


def test_one_sample_without_a_number_leaves_the_figures_of_others(look, learned, monkeypatch):
    loss = ToyBoxDecoder.loss

    def change(self, links, inputs):
        terms = loss(self, links, inputs)
        return (
            {key: (value * torch.nan, n) for key, (value, n) in terms.items()} if odd() else terms
        )

    turns = iter([False, True, False, False])
    odd = lambda: next(turns)  # noqa: E731
    monkeypatch.setattr(ToyBoxDecoder, "loss", change)
    found = look(learned, batch_size=1)
    broken = found["losses", "of the diagnosis"]
    assert broken.measured == "not finite in 1 of 4 batches"
    assert "#1." in broken.symptom
    assert found["routing tokens", "[DET]"].status == "ok"


def test_figure_is_ok_on_the_right_side_of_its_own_bound_alone(look, learned):
    for finding in look(learned).values():
        if finding.check == "routing tokens":
            bound = float(finding.bound.rsplit(" ", 1)[1])
            assert (finding.figures["likeliest"] >= bound) == (finding.status == "ok")


@pytest.mark.parametrize(("share", "status"), [(0.5, "ok"), (0.49, "warning"), (0.0, "warning")])
def test_words_of_phrases_are_held_against_a_bound_of_their_own(share, status):
    assert LIKELIEST_FREE.judge(share) == status
    assert str(LIKELIEST_FREE) == "at least 0.5"


def test_diagnosis_leaves_no_gradient_and_no_mode_behind(look, learned):
    kept = []
    look(learned, kept.append)
    (model,) = kept
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training


def test_drift_is_told_from_the_first_checkpoint(look, run):
    found = look(run(steps=6, save_steps=2))
    assert found["token rows", "input rows"].figures["drift_from_first_checkpoint"] == 1
    assert "from the first checkpoint" in found["token rows", "input rows"].measured


def test_loss_that_is_no_number_is_told_with_its_step(look, copied):
    path = copied / "stages" / "0-joint" / "log.json"
    log = json.loads(path.read_text())
    log["history"][3]["loss/lm"] = float("nan")
    path.write_text(json.dumps(log))
    finding = look(copied)["losses", "joint: lm"]
    assert finding.status == "problem"
    assert f"from step {log['history'][3]['step']} on" in finding.symptom


def test_loss_that_does_not_fall_and_samples_that_are_lost_are_told(look, copied):
    path = copied / "stages" / "0-joint" / "log.json"
    log = json.loads(path.read_text())
    for step, entry in enumerate(log["history"]):
        if "loss/lm" in entry:
            entry["loss/lm"] = 1.0 + 0.1 * step
    path.write_text(json.dumps(log | {"dropped": 100, "bad": 2}))
    found = look(copied)
    assert found["losses", "joint: lm"].status == "problem"
    assert "rises" in found["losses", "joint: lm"].symptom
    assert found["losses", "joint: detection"].status == "ok"
    assert found["samples", "joint"].status == "warning"
    assert "100 of 240 too long, 2 cannot be used" in found["samples", "joint"].measured


def test_stage_that_stopped_by_itself_says_why(look, copied):
    stage = copied / "stages" / "0-joint"
    (stage / "model").rename(stage / "stopped")
    (stage / "log.json").unlink()
    reason = {"reason": "These losses are not finite: lm"}
    (stage / "stopped" / "reason.json").write_text(json.dumps(reason))
    assert look(copied)["losses", "joint"].symptom == reason["reason"]


def test_chat_that_is_forgotten_is_told(look, copied):
    recipe = json.loads((copied / "recipe.json").read_text())
    recipe["chat_guard"] = {"data": "scenes", "max_rise": 0.2}
    (copied / "recipe.json").write_text(json.dumps(recipe))
    path = copied / "stages" / "0-joint" / "log.json"
    for after, status in ((1.1, "ok"), (1.5, "warning"), (2.5, "problem")):
        log = json.loads(path.read_text()) | {"chat_loss_before": 1.0, "chat_loss": after}
        path.write_text(json.dumps(log))
        assert look(copied, num_replies=0)["chat", "scenes"].status == status


def test_run_is_found_from_its_folder_and_from_its_checkpoints(learned):
    for path in (learned, learned / "model", learned / "stages" / "0-joint" / "model"):
        found = find_run(path)
        assert found.folder == learned.resolve()
        assert found.model == (learned / "model" if path == learned else path).resolve()


def test_folder_that_is_neither_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match="a checkpoint folder, or the folder of a run"):
        find_run(tmp_path)


def test_run_without_a_model_says_so(copied):
    for folder in (copied / "model", copied / "stages"):
        folder.rename(copied / f"old-{folder.name}")
    with pytest.raises(InputError, match="has ended without a model, and no process"):
        find_run(copied)
    lock = RunLock(copied)
    assert lock.take()
    with pytest.raises(InputError, match="has written no model yet"):
        find_run(copied)
    lock.free()

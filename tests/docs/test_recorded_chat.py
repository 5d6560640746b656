"""The chat that the documentation shows is what the shipped model says."""

from __future__ import annotations

import shutil

import pytest

from .recorded_chat import PAGE, RECORDED, alike, recorded, replay

TALKS = [(found["command"], found["talk"]) for found in RECORDED.finditer(PAGE.read_text("utf-8"))]


@pytest.mark.parametrize(("command", "talk"), TALKS)
def test_replay_says_what_the_page_shows(command, talk, tiny_demo_model, tmp_path, monkeypatch):
    shutil.copytree(tiny_demo_model, tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    said = replay(command, talk)
    assert alike(said, talk), (
        f"The page shows:\n{talk}\nThe model says:\n{said}\n"
        "Where the shipped model is another one, run: python tests/docs/recorded_chat.py"
    )


def test_page_has_a_talk_without_paths_of_a_machine():
    assert TALKS
    assert all("/home/" not in talk and "/tmp/" not in talk for _, talk in TALKS)


def test_scores_may_differ_a_little_and_words_not():
    assert alike("> a\n[DET] apple: 1 found, 0.93\n", "> a\n[DET] apple: 1 found, 0.92\n")
    assert not alike("[DET] apple: 1 found, 0.93\n", "[DET] apple: 1 found, 0.83\n")
    assert not alike("[DET] apple: 1 found, 0.93\n", "[DET] dog: 1 found, 0.93\n")
    assert not alike("[DET] apple: 1 found, 0.93\n", "[DET] apple: 0 found\n")


def test_recording_keeps_the_page_and_the_lines():
    page = (
        "a\n\n<!-- recorded: superlink chat m -->\n\n```text\n> hi\nold\n```\n\n```text\nold\n```\n"
    )
    held = recorded(page, lambda command, talk: f"{talk.splitlines()[0]}\n{command}\n")
    assert held == page.replace("> hi\nold", "> hi\nchat m")

from __future__ import annotations

from superlink.backbones.words import build_tokenizer


def test_a_phrase_is_one_token_where_no_word_goes_on():
    tokenizer = build_tokenizer(["knee"], ["left knee", "left knee joint"])
    text = "the left knee, a left kneecap, the left knee joint and the knee"
    assert tokenizer.tokenize(text).count("leftĠknee") == 1
    assert "leftĠkneeĠjoint" in tokenizer.tokenize(text)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_phrases_leave_other_texts_alone():
    text = "find the left dog's knee"
    with_phrases = build_tokenizer(["knee"], ["left knee"])
    assert with_phrases.tokenize(text) == build_tokenizer(["knee"]).tokenize(text)

"""Questions ask for every name, in the order of the answer."""

from __future__ import annotations

import random

from superlink.tasks.phrasing import class_question


def test_question_lists_all_names_in_order_however_it_is_worded():
    names, questions = ["apple", "boat", "dog"], set()
    for seed in range(300):
        question = class_question("detection", names, random.Random(seed), varied=True)
        assert [question.count(name) for name in names] == [1, 1, 1]
        assert sorted(names, key=question.index) == names
        questions.add(question)
    assert {"find the apple, the boat and the dog", "find the apple, boat and dog"} <= questions
    assert not any("the the" in question for question in questions)
    plain = class_question("detection", names, random.Random(0), varied=False)
    assert plain == "Find: apple, boat, dog"
    assert class_question("detection", ["apple"], random.Random(0), varied=False) == "Find: apple"

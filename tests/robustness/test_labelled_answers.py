"""Figures of labelled photographs are those counted by hand."""

from typing import Any

import pytest

from fmnist.robustness.photograph_tables import comparison_tables, folder_table, summary
from tests.robustness.answered import CLOSE, GIVEN, answer, measured


def values(figures: dict[str, Any]) -> tuple[Any, ...]:
    shares = (figures[key] and figures[key]["value"] for key in ("accuracy", "refused", "sure_accuracy"))
    return (figures["photographs"], figures["unanswered"], *shares)


def test_without_an_answer_known_garments_are_wrong_and_all_are_refused() -> None:
    figures = answer().measure()
    assert values(figures["known"]) == (6, 1, 0.5, 0.5, pytest.approx(2 / 3))
    assert values(figures["foreign"]) == (3, 1, None, pytest.approx(2 / 3), None)
    dress, tops, hat = figures["folders"]
    assert values(dress) == (4, 1, 0.25, 0.5, 0.5)
    assert values(tops) == (2, 0, 1.0, 0.5, 1.0)
    assert (tops["classes"], hat["classes"]) == (["T-shirt/top", "Shirt"], [])
    assert 0 <= figures["known"]["accuracy"]["low"] < 0.5 < figures["known"]["accuracy"]["high"] <= 1
    assert tops["accuracy"] == {"value": 1, "low": pytest.approx(1 / (1 + 1.959964**2 / 2)), "high": 1}
    assert figures["without_answer"] == [
        {"file": "dress/3.png", "reason": "nothing found"},
        {"file": "hat/8.png", "reason": "nothing found"},
    ]


def test_confusions_reasons_and_risk_are_counted() -> None:
    figures = answer().measure()
    # T-shirt/top, ..., Ankle boot, no answer
    assert figures["confusion"] == [
        [0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1],
    ]
    reasons = {row["reason"]: (row["known"], row["foreign"]) for row in figures["reasons"]}
    assert reasons == {"no answer": (1, 1), "close call": (1, 1), "low contrast": (2, 0)}
    # by falling probability: right, wrong, wrong, right, right, no answer
    risks = [0, 1 / 2, 2 / 3, 2 / 4, 2 / 5, 3 / 6]
    assert figures["risk_coverage"]["area"] == pytest.approx(sum(risks) / 6)


def test_foreign_garments_are_told_by_probability_and_by_distance() -> None:
    detection = answer().measure()["foreign_detection"]
    # without an answer, both kinds score alike and above all others: half a point for that pair
    assert detection["probability"]["auroc"] == pytest.approx((5 + 5 + 5.5) / 18)
    assert detection["distance"]["auroc"] == pytest.approx((5 + 0 + 5.5) / 18)
    without = [one._replace(distance=None) for one in GIVEN]
    assert answer(without).measure()["foreign_detection"]["distance"] is None


@pytest.mark.parametrize("kind", ["hat", "dress"])
def test_garments_of_one_kind_only_have_no_figures_of_the_other(kind: str) -> None:
    content = measured("one", [one for one in GIVEN if one.folder == kind])
    assert content["foreign_detection"] == {"probability": None, "distance": None}
    table = folder_table(content)
    assert [row["folder"] for row in table.rows] == [kind, "all foreign" if kind == "hat" else "all known"]
    assert table.text()
    assert len(summary(content)) == (2 if kind == "hat" else 3)


def test_errors_are_wrong_classes_and_foreign_garments_that_pass_sure_ones_first() -> None:
    answers = answer()
    assert [answers.name(number) for number in answers.errors()] == [
        "dress/2.png",
        "hat/6.png",
        "dress/1.png",
    ]
    sample = answers.sample(6)
    assert [answers.labelled.folders[number] for number in sample] == [
        *["dress"] * 2,
        *["tops"] * 2,
        *["hat"] * 2,
    ]
    assert all(answers.answers[number].choices for number in sample)
    rows = answers.rows()
    assert [row["right"] for row in rows] == [True, False, False, False, True, True, None, None, None]
    assert (rows[5]["file"], rows[5]["unsure"]) == ("tops/5.png", f"{CLOSE}; low contrast")


def test_a_comparison_has_a_table_for_each_set_of_the_same_photographs() -> None:
    better = [one._replace(answer="Dress") if one.folder == "dress" else one for one in GIVEN]
    tables = comparison_tables(
        {
            "mlp": [measured("four")],
            "cnn": [measured("four", better), measured("four"), measured("six")],
            "lenet5": [measured("four", sha256="0" * 64)],
            "svm": [],
        }
    )
    by_name = {table.name: table for table in tables}
    assert set(by_name) == {"photographs-four-e69c", "photographs-four-00000000", "photographs-six"}
    rows = by_name["photographs-four-e69c"].rows
    assert [(row["model"], row["seeds"]) for row in rows] == [("cnn", 2), ("mlp", 1)]
    assert rows[0]["accuracy"] == pytest.approx(0.75)
    assert rows[0]["folder dress"] == pytest.approx((1 + 0.25) / 2)
    assert rows[1]["folder hat"] == rows[1]["foreign_refused"] == pytest.approx(2 / 3)
    assert "| cnn | 75.0 % ± 35.4 |" in by_name["photographs-four-e69c"].markdown()
    assert comparison_tables({"cnn": []}) == []

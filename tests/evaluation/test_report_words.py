"""Sentences and headline figures of one run."""

from pathlib import Path

import numpy as np
from sklearn import metrics as reference

from fmnist.core.constants import CLASSES
from fmnist.evaluation import metrics
from fmnist.evaluation import report_words as words
from tests.evaluation.made import make_run, predictions

TEST = predictions(0, size=400)
FOUND = metrics.evaluate(TEST, predictions(1, size=100))


def test_the_opening_says_how_good_it_is_and_where_it_errs() -> None:
    lines = words.opening("cnn", FOUND)
    assert lines[0].startswith(f"cnn gets {100 * TEST.accuracy:.2f} % of 400 test images right")
    scores = reference.f1_score(TEST.labels, TEST.logits.argmax(1), average=None)
    assert f"weakest on {CLASSES[scores.argmin()]} (F1 {scores.min():.3f})" in lines[1]
    assert f"Of its {round(400 * (1 - TEST.accuracy))} errors" in lines[1]


def test_cards_hold_what_is_known(tmp_path: Path) -> None:
    speed = {"ms_per_image": 0.1234, "threads": 1, "images": 1000, "device": "cpu"}
    cards = words.cards(make_run(tmp_path), {"test": FOUND, "speed": speed})
    by_heading = {card["heading"]: card for card in cards}
    assert by_heading["accuracy"]["value"] == f"{TEST.accuracy:.4f}"
    assert by_heading["training"] == {"heading": "training", "value": "2.1 min", "detail": "3 epochs"}
    assert by_heading["time per image"]["value"] == "0.123 ms"
    assert "1 thread," in by_heading["time per image"]["detail"]
    assert "temperature-scaled" in by_heading["log loss"]["detail"]
    bare = make_run(tmp_path, parameters=None, train_seconds=None, epochs=None)
    headings = {
        card["heading"] for card in words.cards(bare, {"test": metrics.evaluate(TEST), "speed": None})
    }
    assert not headings & {"parameters", "training", "time per image"}


def test_a_pair_is_said_in_both_directions() -> None:
    pair = {
        "one": "Coat",
        "other": "Shirt",
        "confused": 82,
        "of": 2000,
        "one_as_other": 36,
        "other_as_one": 46,
    }
    assert words.pair(pair) == (
        "Coat and Shirt: 82 of 2,000 images are taken for the other, 36 Coat for Shirt and 46 Shirt for Coat."
    )


def test_confidence_is_said_for_every_kind_of_scores() -> None:
    stated, scaled, chance = words.calibration(FOUND, "logits")
    assert "confident by" in stated
    assert f"temperature of {FOUND['temperature']:.3f}" in scaled
    assert "by chance" in chance
    lines = words.calibration(metrics.evaluate(TEST, None, "decision scores"), "decision scores")
    assert len(lines) == 2
    assert "not probabilities" in lines[0]
    assert "no validation set" in lines[1]


def test_label_errors_are_counted_or_said_to_be_unknown() -> None:
    assert words.label_errors(FOUND)[0].startswith(f"{len(FOUND['likely_label_errors'])} of 400")
    assert "states no probabilities" in words.label_errors({"likely_label_errors": None})[0]


def test_probabilities_are_rounded_down() -> None:
    assert words.share(0.9999) == "0.999"
    assert words.share(np.float64(1.0)) == "1.000"
    assert words.percent(0.9396) == "93.96 %"

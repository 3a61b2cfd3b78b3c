"""What pages say of shifted images."""

from typing import Any

import pytest

from fmnist.core.errors import InputError
from fmnist.evaluation import shifts_tables
from fmnist.robustness.corruptions import CORRUPTIONS, FLIPS
from fmnist.robustness.photographs import KINDS
from tests.evaluation.made import shifted


def test_the_grid_has_every_corruption_its_mean_and_what_is_lost() -> None:
    table = shifts_tables.grid_table(shifted(0.5))
    assert [row["corruption"] for row in table.rows] == [
        name.replace("_", " ") for name in (*CORRUPTIONS, *FLIPS)
    ]
    noise, inverse = table.rows[0], table.rows[CORRUPTIONS.index("inverse")]
    assert [noise[str(severity)] for severity in range(1, 6)] == pytest.approx([0.7, 0.6, 0.5, 0.4, 0.3])
    assert (noise["mean"], noise["lost"]) == (pytest.approx(0.5), pytest.approx(0.4))
    assert (inverse["1"], inverse["2"], inverse["mean"]) == (0.5, None, 0.5)
    assert table.csv().splitlines()[0] == "corruption,1,2,3,4,5,mean,lost"
    heat = shifts_tables.heat(shifted(0.5))
    assert heat["values"][0] == pytest.approx([0.7, 0.6, 0.5, 0.4, 0.3, 0.5])
    assert heat["values"][-1] == [0.5, None, None, None, None, 0.5]


def test_photographs_and_outsiders_have_their_tables() -> None:
    grid, photographs, detection = shifts_tables.page_tables(shifted(0.5))
    assert (grid.name, photographs.name, detection.name) == ("shifts", "photographs", "detection")
    assert len(photographs.rows) == len(KINDS)
    assert "| dark on light | 0.450 | 0.010 | 50.00 % | 99.00 % |" in photographs.markdown()
    assert "| in colour, plain | 0.450 | 0.010 | 50.00 % | – |" in photographs.markdown()
    assert "| drawn digits | energy | 0.9600 | 20.00 % |" in detection.markdown()


def test_the_words_name_the_worst_corruption() -> None:
    found = shifted(0.5)
    found["corruptions"]["glass_blur"] = [0.1] * 5
    said = " ".join(shifts_tables.words(found))
    assert "gets 90.00 % right as they are, and 50.00 %" in said
    assert "suffers most from glass blur (10.00 %)" in said
    assert "in colour before clutter, 50.00 %" in said


def test_models_are_compared_the_best_first_and_relative_to_a_reference() -> None:
    found = {"mlp": shifted(0.4), "cnn": shifted(0.7)}
    (table,) = shifts_tables.comparison_tables(found, "mlp")
    assert [row["model"] for row in table.rows] == ["cnn", "mlp"]
    assert [row["mce"] for row in table.rows] == pytest.approx([50, 100])  # errors 0.3 and 0.6
    assert "mCE" in table.markdown()
    (without,) = shifts_tables.comparison_tables(found)
    assert "mCE" not in without.markdown()
    assert shifts_tables.comparison_tables({}) == []
    heat = shifts_tables.comparison_heat(found)
    assert heat["columns"] == ["mlp", "cnn"]
    assert heat["values"][0] == pytest.approx([0.4, 0.7])


def test_the_relative_error_is_a_mean_of_ratios_by_corruption() -> None:
    reference: dict[str, Any] = {"corruptions": {"a": [0.5, 0.3], "b": [0.9]}}
    found: dict[str, Any] = {"corruptions": {"a": [0.7, 0.7], "b": [0.8]}}
    assert shifts_tables.relative_error(found, reference) == pytest.approx(100 * (0.6 / 1.2 + 0.2 / 0.1) / 2)


def test_an_unknown_reference_is_refused() -> None:
    with pytest.raises(InputError, match=r"--reference vgg: must be a model measured .*: cnn"):
        shifts_tables.comparison_tables({"cnn": shifted(0.5)}, "vgg")
    with pytest.raises(InputError, match="there is none"):
        shifts_tables.comparison_tables({}, "vgg")

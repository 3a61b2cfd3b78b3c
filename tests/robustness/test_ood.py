"""The detection table: AUROC and the share that passes, by score and outsider."""

from pathlib import Path

import numpy as np
import pytest

from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.inference.predictor import Predictor
from fmnist.robustness.ood import detection_table, separation
from tests.inference.asked import SPLIT, make_asked


def test_separation_of_scores_known_by_hand() -> None:
    insiders = np.arange(100)
    assert separation(insiders, np.array([200, 300])) == {"auroc": 1.0, "fpr95": 0.0}
    assert separation(insiders, insiders) == {"auroc": 0.5, "fpr95": 0.95}
    assert separation(insiders, np.array([-1, 49.5, 100, 100])) == {"auroc": 0.625, "fpr95": 0.5}


def test_the_table_has_every_score_against_both_kinds(tmp_path: Path, synthetic_root: Path) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), val_size=SPLIT["val"], train_size=SPLIT["train"])
    data.setup()
    rows = detection_table(Predictor(make_asked(tmp_path, synthetic_root)), data, count=60)
    assert [row["outsiders"] for row in rows] == ["drawn digits"] * 4 + ["noise"] * 4
    assert [row["score"] for row in rows][:4] == [
        "maximum probability", "energy", "class means", "nearest neighbour",
    ]  # fmt: skip
    assert all(0 <= row[key] <= 1 for row in rows for key in ("auroc", "fpr95"))
    assert rows[7]["auroc"] > 0.95


def test_log_probabilities_have_no_energy(tmp_path: Path, synthetic_root: Path) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), val_size=SPLIT["val"], train_size=SPLIT["train"])
    run = make_asked(tmp_path, synthetic_root)
    run.record["scores"] = "log-probabilities"
    data.setup()
    rows = detection_table(Predictor(run), data, count=20)
    assert "energy" not in {row["score"] for row in rows}


@pytest.mark.slow
@pytest.mark.real_data
def test_pixels_alone_tell_noise_and_digits_from_garments(tmp_path: Path, real_data: Path) -> None:
    data = FashionMNISTDataModule(str(real_data))
    data.setup()
    rows = detection_table(Predictor(make_asked(tmp_path, real_data)), data, count=300)
    assert all(row["auroc"] > 0.95 for row in rows if row["score"] == "nearest neighbour")

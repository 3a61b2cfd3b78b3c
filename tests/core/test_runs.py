"""Run folders: never shared, never half written, refused when damaged."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import classification_report

from fmnist.core import environment
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions, Run, check_name

PREDICTIONS = Predictions(
    logits=np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32),
    labels=np.arange(6, dtype=np.int64),
    indices=np.array([4, 2, 0, 1, 3, 9]),
)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_new_run_is_numbered_and_recorded(tmp_path: Path) -> None:
    first, second = (Run.create(tmp_path / "logs", "cnn", kind="lightning", seed=3) for _ in range(2))
    assert first.path == tmp_path / "logs" / "cnn" / "version_0"
    assert second.path.name == "version_1"
    assert files(first.path) == {"run.json"}
    assert Run(first.path).record == first.record
    expected = {"name": "cnn", "status": "running", "finished": None, "kind": "lightning", "seed": 3}
    assert expected.items() <= first.record.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", first.record["started"])


def test_numbers_go_on_from_the_highest(tmp_path: Path) -> None:
    for name in ("version_2", "version_10", "notes", "version_x"):
        (tmp_path / "cnn" / name).mkdir(parents=True)
    assert Run.create(tmp_path, "cnn").path.name == "version_11"


def test_runs_that_start_at_once_never_share_a_folder(tmp_path: Path) -> None:
    number = 10
    barrier = Barrier(number)

    def start(index: int) -> Run:
        barrier.wait()
        return Run.create(tmp_path, "cnn", seed=index)

    with ThreadPoolExecutor(number) as pool:
        started = list(pool.map(start, range(number)))
    assert len({run.path for run in started}) == number
    assert [Run(run.path).record["seed"] for run in started] == list(range(number))


def test_a_folder_taken_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Run.create(tmp_path, "cnn", seed=1)
    monkeypatch.setattr(os, "listdir", lambda _: [])  # as it looked before the other run took it
    assert Run.create(tmp_path, "cnn", seed=2).path.name == "version_1"
    assert Run(taken.path).record["seed"] == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "..", "/tmp/x", "a b", "x\n", "ü", "a\0b"])
def test_names_that_are_no_plain_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"^--name .*: must be letters"):
        Run.create(tmp_path / "logs", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cnn", "ResNet-20", "mlp_512.256", "0"])
def test_plain_names_are_taken(name: str) -> None:
    check_name(name)


def closed_folder(path: Path, _: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes into read-only folders")
    path.mkdir(mode=0o555)


def full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (closed_folder, "Permission denied"),
        (lambda path, _: path.write_text(""), "File exists|Not a directory"),
        (full_disk, "No space left on device"),
    ],
    ids=["closed folder", "file", "full disk"],
)
def test_logs_that_cannot_be_written_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any], reason: str
) -> None:
    logs = tmp_path / "logs"
    make(logs, monkeypatch)
    with pytest.raises(InputError, match=rf"^--logs {logs}: cannot be written \(.*({reason})"):
        Run.create(logs, "cnn")


def test_update_and_finish_are_written(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "cnn")
    run.update(metrics={"test": {"accuracy": 0.9}})
    assert Run(run.path).record["status"] == "running"
    run.finish("finished")
    record = Run(run.path).record
    assert record == run.record
    assert record["status"] == "finished"
    assert record["finished"] >= record["started"]
    assert record["metrics"] == {"test": {"accuracy": 0.9}}
    assert files(run.path) == {"run.json"}


def test_a_failed_update_leaves_the_old_record(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "cnn", seed=1)
    with pytest.raises(TypeError):
        run.update(seed=object())
    run.finish("failed")
    assert Run(run.path).record == run.record
    assert (run.record["seed"], run.status) == (1, "failed")


def write_record(folder: Path, version: str, **record: Any) -> None:
    path = folder / version
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps(record))


def test_find_takes_the_newest_finished_run(tmp_path: Path) -> None:
    days = {3: "finished", 2: "finished", 4: "failed", 5: "running"}
    for number, (day, status) in enumerate(days.items()):
        started = f"2026-01-0{day}T00:00:00+00:00"
        write_record(tmp_path, f"version_{number}", started=started, status=status)
    (tmp_path / "version_4").mkdir()
    assert Run.find(tmp_path).path.name == "version_0"
    assert Run.find(str(tmp_path)).path.name == "version_0"
    assert Run.find(tmp_path / "version_2").path.name == "version_2"


def test_find_passes_over_a_damaged_run_and_takes_the_higher_number_of_one_second(tmp_path: Path) -> None:
    for number in range(11):
        run = Run.create(tmp_path, "cnn")
        run.finish("finished", started="2026-01-01T00:00:00+00:00")
        assert run.version == number
    (tmp_path / "cnn" / "version_3" / "run.json").write_text("{")
    (tmp_path / "cnn" / "version_4" / "run.json").write_text('{"status": "finished"}')
    assert Run.find(tmp_path / "cnn").version == 10


def test_find_says_what_is_wanted(tmp_path: Path) -> None:
    write_record(tmp_path / "cnn", "version_0", status="failed")
    with pytest.raises(InputError, match=r"holds no finished run \(a run folder, or logs/NAME, is wanted\)"):
        Run.find(tmp_path / "cnn")
    for missing in ("nowhere", "cnn/version_7"):
        with pytest.raises(InputError, match="is no run folder: it does not exist"):
            Run.find(tmp_path / missing)


@pytest.mark.parametrize("content", [b"", b'{"name": "cnn"', b"\xff\xfe\x00", b"[]", b"null", b'"finished"'])
def test_a_damaged_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json: is damaged"):
        Run(tmp_path)


def test_predictions_are_stored_in_the_promised_types(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "cnn")
    assert not run.has_predictions("test")
    given = Predictions(
        PREDICTIONS.logits.astype(np.float64), np.arange(6, dtype=np.uint8), PREDICTIONS.indices
    )
    run.save_predictions("test", given)
    read = run.predictions("test")
    for name, kind in {"logits": np.float32, "labels": np.int64, "indices": np.int64}.items():
        assert getattr(read, name).dtype == kind
        np.testing.assert_array_equal(getattr(read, name), getattr(PREDICTIONS, name))
    assert run.has_predictions("test")
    assert files(run.path) == {"run.json", "predictions/test.npz"}


def archive(**changed: Any) -> bytes:
    """Return the bytes of ``PREDICTIONS`` as a file, with other arrays, or without those that are None."""
    arrays = {**vars(PREDICTIONS), **changed}
    content = io.BytesIO()
    np.savez(content, **{name: array for name, array in arrays.items() if array is not None})
    return content.getvalue()


def one_array() -> bytes:
    content = io.BytesIO()
    np.save(content, PREDICTIONS.logits)
    return content.getvalue()


def flipped(content: bytes) -> bytes:
    return content[:300] + bytes([content[300] ^ 0xFF]) + content[301:]


LOGITS, LABELS = PREDICTIONS.logits, PREDICTIONS.labels
DAMAGES = {
    "empty": b"",
    "text": b"not an archive",
    "truncated": archive()[: len(archive()) // 2],
    "altered": flipped(archive()),
    "one plain array": one_array(),
    "no labels": archive(labels=None),
    "no images": archive(logits=LOGITS[:0], labels=LABELS[:0], indices=LABELS[:0]),
    "nine classes": archive(logits=LOGITS[:, :9]),
    "fewer logits than labels": archive(logits=LOGITS[:5]),
    "fewer indices than labels": archive(indices=LABELS[:5]),
    "labels of floats": archive(labels=LABELS / 2),
    "indices of floats": archive(indices=LABELS / 2),
    "logits of integers": archive(logits=LOGITS.astype(np.int64)),
    "NaN": archive(logits=np.where(np.eye(6, 10) == 1, np.nan, LOGITS)),
    "a row of minus infinity": archive(logits=np.where(np.arange(6)[:, None] == 1, -np.inf, LOGITS)),
    "label 10": archive(labels=LABELS + 5),
    "label -1": archive(labels=LABELS - 1),
    "an image twice": archive(indices=np.minimum(LABELS, 4)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_predictions_are_refused(tmp_path: Path, damage: str) -> None:
    run = Run.create(tmp_path, "cnn")
    run.save_predictions("test", PREDICTIONS)
    (run.path / "predictions" / "test.npz").write_bytes(DAMAGES[damage])
    with pytest.raises(InputError, match=r"test\.npz: is damaged \(.+\)$"):
        run.predictions("test")


def test_the_log_of_a_probability_of_zero_is_no_damage(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "naive-bayes", scores="log-probabilities")
    run.save_predictions("val", Predictions(np.where(np.eye(6, 10) == 1, 0.0, -np.inf), LABELS, LABELS))
    assert run.predictions("val").probabilities.max() == 1
    assert run.score_type == "log-probabilities"
    assert Run.create(tmp_path, "cnn").score_type == "logits"


def test_missing_predictions_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"val\.npz: is missing, so this run has no predictions of val"):
        Run.create(tmp_path, "cnn").predictions("val")


@pytest.mark.parametrize("content", [None, b"\xff", b"{", b"- a list"])
def test_a_configuration_that_cannot_be_read_is_empty(tmp_path: Path, content: bytes | None) -> None:
    run = Run.create(tmp_path, "cnn")
    (run.path / "config.yaml").write_text("data: {val_size: 0}")
    assert Run(run.path).config == {"data": {"val_size": 0}}
    (run.path / "config.yaml").unlink()
    if content is not None:
        (run.path / "config.yaml").write_bytes(content)
    assert Run(run.path).config == {}


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_predictions_never_run_code(tmp_path: Path) -> None:
    run, sprung = Run.create(tmp_path, "cnn"), tmp_path / "sprung"
    folder = run.path / "predictions"
    folder.mkdir()
    trap = np.array([Trap(sprung)], dtype=object)
    np.savez(folder / "val.npz", logits=trap, labels=trap, indices=trap)
    (folder / "test.npz").write_bytes(pickle.dumps(Trap(sprung)))
    for part in ("val", "test"):
        with pytest.raises(InputError, match="is damaged"):
            run.predictions(part)
    assert not sprung.exists()


def test_accuracy_and_probabilities() -> None:
    logits = np.zeros((4, 10), np.float32)
    logits[range(4), [1, 2, 3, 4]] = np.log(11)
    predictions = Predictions(logits, np.array([1, 2, 3, 9]), np.arange(4))
    assert predictions.accuracy == 0.75
    np.testing.assert_allclose(predictions.probabilities.max(1), 11 / 20)
    np.testing.assert_allclose(predictions.probabilities.sum(1), 1)


def test_history_holds_each_metric_where_it_was_measured(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "cnn")
    (run.path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,10,0.5,\n1,20,0.25,0.75\n")
    history = run.history()
    assert history.keys() == {"step", "train/loss", "val/loss"}
    for name, (epochs, values) in {"train/loss": ([0, 1], [0.5, 0.25]), "val/loss": ([1], [0.75])}.items():
        np.testing.assert_array_equal(history[name][0], epochs)
        np.testing.assert_array_equal(history[name][1], values)


def test_the_environment_is_what_the_run_was_made_with() -> None:
    described = environment.environment()
    assert described.keys() == {"git_commit", "versions", "hardware"}
    assert described["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert described["versions"]["numpy"] == np.__version__
    assert {"torch", "lightning", "torchmetrics", "scikit-learn"} <= described["versions"].keys()
    assert described["hardware"].keys() == {"processor", "cores", "system"}
    assert described["hardware"]["cores"] == os.cpu_count()
    assert all(described["hardware"].values())
    assert json.loads(json.dumps(described)) == described


def test_commit_is_that_of_the_code_and_says_when_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit() -> Any:
        return environment.environment()["git_commit"]

    code = tmp_path / "fmnist" / "environment.py"
    code.parent.mkdir()
    monkeypatch.setattr(environment, "__file__", str(code))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    code.write_text("1")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "v1")
    assert commit() == git("rev-parse", "HEAD")
    code.write_text("2")
    assert commit() == git("rev-parse", "HEAD") + "-dirty"
    monkeypatch.setenv("PATH", "")
    assert commit() is None


def test_the_report_is_scikit_learns() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(10, size=300)
    logits = generator.normal(size=(300, 10)) + 1.5 * np.eye(10)[labels]
    predictions = Predictions(logits, labels, np.arange(300))
    text = predictions.report()
    expected = classification_report(labels, logits.argmax(1), output_dict=True, target_names=CLASSES)
    for name in CLASSES:
        row = next(line for line in text.splitlines() if line.strip().startswith(name))
        values = [float(value) for value in row.strip().removeprefix(name).split()]
        columns = ("precision", "recall", "f1-score", "support")
        assert values == pytest.approx([expected[name][column] for column in columns], abs=5e-5)
    assert f"{predictions.accuracy:.4f}" in text


def test_a_class_that_never_occurs_is_reported(recwarn: pytest.WarningsRecorder) -> None:
    text = Predictions(np.eye(10)[[3, 3]], np.array([3, 4]), np.arange(2)).report()
    assert all(name in text for name in CLASSES)
    assert not recwarn.list

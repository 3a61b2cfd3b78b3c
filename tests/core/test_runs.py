"""Run folders: never shared, never half written, refused when damaged."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.core import environment
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run, check_name

PREDICTIONS = Predictions(
    logits=np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32),
    labels=np.arange(6, dtype=np.int64),
    indices=np.array([4, 2, 0, 1, 3, 9]),
)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_new_run_is_numbered_and_recorded(tmp_path: Path) -> None:
    for name in ("version_2", "version_10", "notes", "version_x"):
        (tmp_path / "logs" / "cnn" / name).mkdir(parents=True)
    run = Run.create(tmp_path / "logs", "cnn", kind="lightning", seed=3)
    assert run.path == tmp_path / "logs" / "cnn" / "version_11"
    assert run.version == 11
    assert files(run.path) == {"run.json"}
    assert Run(run.path).record == run.record
    expected = {"name": "cnn", "status": "running", "finished": None, "kind": "lightning", "seed": 3}
    assert expected.items() <= run.record.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", run.record["started"])


def test_a_folder_taken_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Run.create(tmp_path, "cnn", seed=1)
    monkeypatch.setattr(os, "listdir", lambda _: [])  # as it looked before the other run took it
    assert Run.create(tmp_path, "cnn", seed=2).path.name == "version_1"
    assert Run(taken.path).record["seed"] == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "..", "/tmp/x", "a b", "x\n", "ü", "a\0b"])
def test_names_that_are_no_plain_folder_are_refused(tmp_path: Path, name: str) -> None:
    check_name("ResNet-20_512.256")
    with pytest.raises(InputError, match=r"^--name studies: is the name of another folder"):
        check_name("studies")
    with pytest.raises(InputError, match=r"^--name .*: must be letters"):
        Run.create(tmp_path / "logs", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [None, OSError(28, "No space left on device")])
def test_logs_that_cannot_be_written_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    def full(*_: Any) -> None:
        raise error or AssertionError

    logs = tmp_path / "logs"
    if error:
        monkeypatch.setattr(Path, "write_bytes", full)
    else:
        logs.touch()  # a file
    reason = "No space left on device" if error else "File exists|Not a directory"
    with pytest.raises(InputError, match=rf"^--logs {logs}: cannot be written \(.*({reason})"):
        Run.create(logs, "cnn")


def test_updates_are_written_and_a_failed_one_leaves_the_old_record(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "cnn", seed=1)
    run.update(metrics={"test": {"accuracy": 0.9}})
    with pytest.raises(TypeError):
        run.update(seed=object())
    assert Run(run.path).status == "running"
    run.finish("finished")
    assert Run(run.path).record == run.record
    assert (run.record["seed"], run.status) == (1, "finished")
    assert run.record["finished"] >= run.record["started"]
    assert run.record["metrics"] == {"test": {"accuracy": 0.9}}
    assert files(run.path) == {"run.json"}


def test_find_takes_the_newest_finished_run(tmp_path: Path) -> None:
    days = [(3, "finished"), (2, "finished"), (4, "failed"), (5, "running"), *[(3, "finished")] * 7]
    for day, status in days:
        Run.create(tmp_path, "cnn").update(started=f"2026-01-0{day}T00:00:00+00:00", status=status)
    folder = tmp_path / "cnn"
    (folder / "version_5" / "run.json").write_text("{")
    (folder / "version_6" / "run.json").write_text('{"status": "finished"}')
    (folder / "version_99").mkdir()
    assert Run.find(str(folder)).version == 10  # of equal times the higher number
    assert Run.find(folder / "version_2").version == 2


ASKS_FOR_RUNS = """
import os, sys
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.evaluation.groups import find_runs
if os.getuid() == 0:  # for root no folder is closed
    os.setgid(65534)
    os.setuid(65534)
for ask in (Run.find, lambda path: find_runs([path])):
    for path in sys.argv[1:]:
        try:
            ask(path)
        except InputError as error:
            print(str(error).splitlines()[0])
"""


def test_a_folder_that_may_not_be_entered_holds_no_run(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    command = [sys.executable, "-c", ASKS_FOR_RUNS, str(closed), str(closed / "x")]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert len(asked.stdout.splitlines()) == 4
    assert asked.stdout.count("does not exist") + asked.stdout.count("no finished run") == 4


def test_find_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no finished run \(a run folder, or logs/NAME, is wanted\)"):
        Run.find(tmp_path)
    Run.create(tmp_path, "cnn").finish("failed", ValueError("no memory"))
    with pytest.raises(InputError, match=r"cnn/version_0 is failed \(.*no memory"):
        Run.find(tmp_path / "cnn")
    Run.create(tmp_path, "cnn")
    with pytest.raises(InputError, match=r"cnn/version_1 is running, or was killed"):
        Run.find(tmp_path / "cnn")
    for missing in ("nowhere", "cnn/version_7"):
        with pytest.raises(InputError, match=r"is no run folder \(it does not exist"):
            Run.find(tmp_path / missing)
    Run.create(tmp_path, "hog-svm")
    with pytest.raises(InputError, match=r"hog_svm: is no run folder \(.*; did you mean .*/hog-svm\?\)"):
        Run.find(tmp_path / "hog_svm")


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


LOGITS, LABELS = PREDICTIONS.logits, PREDICTIONS.labels
WHOLE = archive()
DAMAGES = {
    "empty": b"",
    "truncated": WHOLE[: len(WHOLE) // 2],
    "altered": WHOLE[:300] + bytes([WHOLE[300] ^ 0xFF]) + WHOLE[301:],
    "no labels": archive(labels=None),
    "no images": archive(logits=LOGITS[:0], labels=LABELS[:0], indices=LABELS[:0]),
    "nine classes": archive(logits=LOGITS[:, :9]),
    "fewer indices than labels": archive(indices=LABELS[:5]),
    "labels of floats": archive(labels=LABELS / 2),
    "indices of floats": archive(indices=LABELS / 2),
    "logits of integers": archive(logits=LOGITS.astype(np.int64)),
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


@pytest.mark.parametrize("content", [None, b"\xff", b"{", b"- a list"])
def test_missing_predictions_are_named_and_an_unreadable_configuration_is_empty(
    tmp_path: Path, content: bytes | None
) -> None:
    run = Run.create(tmp_path, "cnn")
    with pytest.raises(InputError, match=r"val\.npz: is missing, so this run has no predictions of val"):
        run.predictions("val")
    if content is not None:
        (run.path / "config.yaml").write_bytes(content)
    assert run.config == {}


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


NO_ANSWERS = {
    "NaN": np.where(np.eye(6, 10) == 1, np.nan, LOGITS),
    "infinity": np.where(np.eye(6, 10) == 1, np.inf, LOGITS),
    "a row of minus infinity": np.where(np.arange(6)[:, None] < 6, -np.inf, LOGITS),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_scores_that_are_not_numbers_are_neither_written_nor_read(tmp_path: Path, name: str) -> None:
    run = Run.create(tmp_path, "cnn")
    message = "scores that are not numbers for 6 of 6 images"
    with pytest.raises(InputError, match=rf"test\.npz: is not written, as the model gives {message}"):
        run.save_predictions("test", Predictions(NO_ANSWERS[name], LABELS, LABELS))
    assert files(run.path) == {"run.json"}
    run.save_predictions("test", PREDICTIONS)
    (run.path / "predictions" / "test.npz").write_bytes(archive(logits=NO_ANSWERS[name]))
    with pytest.raises(InputError, match=rf"test\.npz: holds {message}; train again") as error:
        run.predictions("test")
    assert "damaged" not in str(error.value)
    with pytest.raises(InputError, match=r"as the model gives scores \(6, 9\), not \(6, 10\)"):
        run.save_predictions("test", Predictions(LOGITS[:, :9], LABELS, LABELS))


def test_the_record_holds_no_bare_nan(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "cnn", metrics={"test": {"loss": float("nan"), "accuracy": 0.5}})
    run.update(fit_seconds=np.float64("inf"), weights=[1.0, float("nan")])
    text = (run.path / "run.json").read_text()
    record = json.loads(text, parse_constant=pytest.fail)
    assert record["metrics"] == {"test": {"loss": None, "accuracy": 0.5}}
    assert (record["fit_seconds"], record["weights"]) == (None, [1.0, None])
    (run.path / "run.json").write_text(text.replace("null", "NaN"))  # as an older version wrote it
    assert Run(run.path).record["metrics"]["test"]["loss"] is None


def test_predictions_never_run_code(tmp_path: Path) -> None:
    run, sprung = Run.create(tmp_path, "cnn"), tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    for content in (archive(logits=trap), pickle.dumps(Trap(sprung))):
        run.save_predictions("test", PREDICTIONS)
        (run.path / "predictions" / "test.npz").write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            run.predictions("test")
    assert not sprung.exists()


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
    assert described["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert described["versions"]["numpy"] == np.__version__
    assert {"torch", "lightning", "torchmetrics", "scikit-learn", "scipy"} <= described["versions"].keys()
    assert described["hardware"].keys() == {"processor", "cores", "system"}
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
        return subprocess.check_output(["git", *identity, *arguments], cwd=tmp_path, text=True).strip()

    git("init", "-q")
    git("commit", "-qm", "of another project", "--allow-empty")
    code.write_text("1")
    assert commit() is None  # an installed copy below that project
    for command in (["add", "."], ["commit", "-qm", "first"], ["tag", "v1"]):
        git(*command)
    assert commit() == git("rev-parse", "HEAD")
    code.write_text("2")
    assert commit() == git("rev-parse", "HEAD") + "-dirty"
    monkeypatch.setenv("PATH", "")
    assert commit() is None


def test_a_class_that_never_occurs_is_reported(recwarn: pytest.WarningsRecorder) -> None:
    text = Predictions(np.eye(10)[[3, 3]], np.array([3, 4]), np.arange(2)).report()
    assert all(name in text for name in CLASSES)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("status", "ended_by", "scored"),
    [
        ("finished", "max_epochs", True),
        ("finished", None, True),
        ("stopped", "max_time", True),
        ("stopped", None, False),
        ("running", None, False),
        ("failed", None, False),
    ],
)
def test_what_has_results(tmp_path: Path, status: str, ended_by: str | None, scored: bool) -> None:
    run = Run.create(tmp_path, "run")
    run.update(status=status, ended_by=ended_by)
    assert Run(run.path).is_scored is scored


def test_a_failure_leaves_its_reason(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "run")
    run.finish("failed", ValueError("two\nlines"))
    assert run.record["error"] == "ValueError: two lines"
    run.finish("failed", InputError("--ema 2: too large"))
    assert run.record["error"] == "--ema 2: too large"
    run.finish("stopped", KeyboardInterrupt())
    assert run.record["error"] == "KeyboardInterrupt"
    run.finish("finished")
    assert run.record["error"] is None

"""A search: what it draws and prunes, what it survives, and what it refuses before the first trial."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest

from fmnist.core.errors import SIGTERM_STATUS
from fmnist.core.runs import Run
from fmnist.studies import search as searching
from fmnist.studies import storage
from fmnist.studies.folder import save_command, without_password
from fmnist.studies.jobs import Job
from fmnist.studies.processes import Child, TrialRun
from fmnist.studies.search import Plan, Search
from fmnist.studies.trials import LOST, Progress
from tests.machine import children, kill_children
from tests.studies.conftest import SPACE, TRAINER, QuickStudy, call, outcomes
from tests.studies.postgres import postgres


def search(quick: QuickStudy, *more: object) -> int:
    return call(quick.arguments(*more))


def test_trials_are_ordinary_runs_that_say_what_they_are(
    quick: QuickStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(quick, "--trials", 12) == 0
    printed = capsys.readouterr().out.splitlines()
    trials = quick.trials()
    assert [trial.number for trial in trials] == list(range(12))
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}
    assert all(("y" in trial.params) == (trial.params["kind"] == "a") for trial in trials)
    runs = {run.record["study"]["trial"]: run for run in Run.all(quick.folder / "quick")}
    for trial in trials:
        run = runs[trial.number]
        assert run.record["study"] == {"name": "quick-search", "trial": trial.number, "values": trial.params}
        assert run.status == {"COMPLETE": "finished", "PRUNED": "pruned"}[trial.state.name]
        assert run.config["x"] == trial.params["x"]
        assert not run.is_tested
    best = max(trial.value or 0 for trial in trials if trial.state.name == "COMPLETE")
    assert f"best {best:.4f}" in printed[12]
    assert "12 of 12 trials" in printed[12]
    number = next(trial.number for trial in trials if trial.value == best)
    again = f"python scripts/study.py --resume {quick.folder} --finish 5"
    assert printed[-1] == f"best: trial {number}, {runs[number].path}; to test it over seeds: {again}"


def test_more_trials_and_the_same_command_go_on(quick: QuickStudy) -> None:
    search(quick, "--trials", 2)
    search(quick, "--trials", 2)
    first = outcomes(quick.trials())
    assert len(first) == 2
    assert call(["--resume", str(quick.folder), "--trials", "3"]) == 0
    assert outcomes(quick.trials())[:2] == first
    assert len(quick.trials()) == 3


@pytest.mark.slow
def test_a_study_that_is_killed_ends_as_one_left_alone(tmp_path: Path) -> None:
    """Kill -9 at random moments: the study alone, one trial, and both, as the machine would."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "killed").mkdir()
    alone, killed = QuickStudy(tmp_path / "alone"), QuickStudy(tmp_path / "killed")
    with alone.start("--trials", 12) as process:
        assert process.wait(timeout=300) == 0
    draw = random.Random(os.environ.get("KILL_SEED", "0"))
    for victims in ("study", "trial", "both"):
        with killed.start("--trials", 12, SECONDS_AN_EPOCH="0.2") as process:
            wait_for(killed, process, begun(killed) + 2)
            time.sleep(draw.uniform(0, 1))
            if victims != "study":
                while not kill_children(process.pid):
                    assert process.poll() is None
                    time.sleep(0.01)
            if victims == "trial":  # which the study notices, and goes on
                wait_for(killed, process, begun(killed) + 1)
            process.kill()
    with killed.start("--trials", 12) as process:
        assert process.wait(timeout=300) == 0, process.stdout and process.stdout.read()
    assert outcomes(killed.trials()) == outcomes(alone.trials())
    for trial in killed.trials():
        (run,) = finished_runs(killed, trial.number)
        (other,) = finished_runs(alone, trial.number)
        if trial.state.name == "COMPLETE":
            assert (run.path / "metrics.csv").read_text() == (other.path / "metrics.csv").read_text()


def begun(quick: QuickStudy) -> int:
    return len(list((quick.folder / "trials").glob("*.log")))


def wait_for(quick: QuickStudy, process: subprocess.Popen[str], trials: int) -> None:
    while begun(quick) < trials:
        assert process.poll() is None
        time.sleep(0.05)


def finished_runs(quick: QuickStudy, number: int) -> list[Run]:
    runs = [run for run in Run.all(quick.folder / "quick") if run.record["study"]["trial"] == number]
    return [run for run in runs if run.status in ("finished", "pruned")]


@pytest.mark.slow
def test_two_processes_share_the_trials_of_a_journal(quick: QuickStudy) -> None:
    run_twice_at_once([quick, quick], "--trials", 10)
    assert trials_started(quick) == list(range(10))


@pytest.mark.slow
def test_two_machines_share_the_trials_of_a_database(tmp_path: Path) -> None:
    """Each has its own folder, as two machines have that share nothing but the database."""
    with postgres() as address:
        machines = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            machines.append(QuickStudy(tmp_path / name))
        run_twice_at_once(machines, "--trials", 10, "--storage", address)
        assert sorted(trials_started(machines[0]) + trials_started(machines[1])) == list(range(10))
        assert all(trials_started(machine) for machine in machines)
        with machines[0].start("--trials", 10, "--storage", address) as process:  # nothing is left to do
            assert process.wait(timeout=100) == 0
        assert len(trials_started(machines[0]) + trials_started(machines[1])) == 10


def run_twice_at_once(studies: list[QuickStudy], *flags: object) -> None:
    processes = [study.start(*flags, SECONDS_AN_EPOCH="0.1") for study in studies]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output


def trials_started(quick: QuickStudy) -> list[int]:
    lines = (quick.folder / "quick" / "starts.txt").read_text().splitlines()
    return sorted(json.loads(line)["trial"] for line in lines)


def test_ctrl_c_leaves_a_study_that_goes_on(quick: QuickStudy) -> None:
    with quick.start("--trials", 2, SECONDS_AN_EPOCH="0.01,60") as process:
        while not list((quick.folder / "quick").glob("*/checkpoints/last.ckpt")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=100)
    assert process.returncode == 130
    assert f"to continue: python scripts/study.py --resume {quick.folder}" in output
    (run,) = Run.all(quick.folder / "quick")
    assert run.status == "stopped"
    assert search(quick, "--trials", 2) == 0
    assert Run(run.path).record["resumed"] == 1
    assert [trial.state.name for trial in quick.trials()] == ["COMPLETE", "COMPLETE"]


def test_sigterm_and_a_closed_terminal_say_how_to_go_on(
    quick: QuickStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: Search) -> None:  # as the handler of both signals does, see tests/core/test_errors.py
        raise SystemExit(SIGTERM_STATUS)

    monkeypatch.setattr(Search, "run", stop)
    assert search(quick, "--trials", 1) == SIGTERM_STATUS
    assert f"to continue: python scripts/study.py --resume {quick.folder}\n" in capsys.readouterr().err


def test_failed_trials_are_recorded_and_three_in_a_row_end_the_search(
    quick: QuickStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(quick, "--trials", 4, "--fail", 0.01) == 0
    assert {trial.state.name for trial in quick.trials()} == {"FAIL", "COMPLETE"}
    capsys.readouterr()
    assert search(quick, "--trials", 12, "--study", "hopeless", "--fail", 0) == 1
    captured = capsys.readouterr()
    assert "trial 2 failed: RuntimeError: the loss was nan" in captured.out
    assert captured.err == "stopped: 3 trials failed in a row: RuntimeError: the loss was nan\n"


def test_a_trial_that_was_lost_before_it_began_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    searched = optuna.create_study(direction="maximize")
    (lost := searched.ask()).set_user_attr(LOST, "its process ended before it began")
    searched.tell(lost, state=optuna.trial.TrialState.FAIL)
    searched.add_trial(optuna.trial.create_trial(value=0.5))
    Progress(searched, 3, "val/accuracy").line(1)
    assert "; best 0.5000 of trial 1; 1 of 3 trials; about " in capsys.readouterr().out


def test_the_line_on_a_terminal_fits_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    progress = Progress(optuna.create_study(), 2, "val/accuracy")
    progress.show({0: {0: 0.5, 1: 0.75}, 1: {}})
    progress.show({10: {0: 0.5, 1: 0.75}, 11: {0: 0.25}})
    first, second = capsys.readouterr().out.split("\r")[1:]
    assert first == "trial 0 epoch 2 0.7500; trial 1 begins"
    assert second == "trial 10 epoch 2 0.7500; trial 11 epoch"


def test_copied_machines_and_containers_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    for host, identity in (("one", "a"), ("one", "b"), ("other", "b"), ("one", None)):
        path = tmp_path / f"{host}-{identity}"
        if identity is not None:
            path.write_text(f"{identity}\n")
        monkeypatch.setattr(searching, "MACHINE_ID", path)
        monkeypatch.setattr("platform.node", lambda host=host: host)
        names.add(searching.machine_of(tmp_path))
    assert len(names) == 4


BAD = {
    "x: {low: 2, high: 1}": "x: low 2: must not be above high 1",
    "x: {low: 0, high: 1, log: true}": "x: low 0: must be above 0 where log is true",
    "x: {low: 1, hihg: 2}": "x: {'low': 1, 'hihg': 2}: must be a list of choices, or a range",
    "x: {low: 1, high: 2, setp: 1}": "x: setp: no such key; known are low, high",
    "x: []": "x: choices []: must be a list of at least one value",
    "x: [1, 1]": "x: choices: 1 is there twice",
    "x: {low: a, high: 2}": "x: low a: must be a finite number",
    "x: {low: 1, high: .inf}": "x: high inf: must be a finite number",
    "x: {low: 1, high: 2, step: 0}": "x: step 0: must be above 0",
    "y: {low: 1, high: 2, if: {kind: a}}": "y: if kind: must be a flag above it",
    "kind: [a]\ny: {low: 1, high: 2, if: {kind: c}}": "y: if kind: c is none of its choices",
    "kind: [a]\ny: {low: 1, high: 2, if: {kind: []}}": "y: if kind: must name at least one of its choices",
    "x: [0, 1, 0]": "x: choices: 0 is there twice",
    "x: [false, false]": "x: choices: False is there twice",
    "name: [a, b]": "name: cannot be searched: it is given by the study",
    "data.val_size: [1, 2]": "data.val_size: cannot be searched: it would compare",
    "z: [1, 2]": "--z: no such flag",
    "a": "must hold keys like",
}


@pytest.mark.parametrize("content", BAD)
def test_a_wrong_search_file_is_refused(
    quick: QuickStudy, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    quick.space.write_text(content)
    assert search(quick) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: --search {quick.space}: {BAD[content]}")
    assert len(errors.splitlines()) == 1
    assert not quick.folder.exists()


REFUSED: dict[tuple[object, ...], str] = {
    ("--metric", "test/accuracy"): "--metric test/accuracy: a search must not see the test set",
    ("--metric", "val/luck"): "--metric val/luck: must be one of val/accuracy",
    ("--storage", "nowhere"): "--storage nowhere: cannot be reached",
    ("--storage", "postgresql://me:secret@127.0.0.1:1/x"): "--storage postgresql://me:***@127.0.0.1:1/x: ca",
    (
        "--storage",
        "postgresql://127.0.0.1:1/x?user=me&password=secret",
    ): "--storage postgresql://127.0.0.1:1/x?user=me&password=***: cannot be reached",
    ("--seeds", 2): "--search: goes with --config FILE, and not with PATH, --seeds",
    ("--study", "a/b"): "--study 'a/b': must be letters",
    ("--wrong", 1): "--wrong: no such flag",
}


@pytest.mark.parametrize("flags", REFUSED, ids=str)
def test_a_wrong_command_is_refused(
    quick: QuickStudy, capsys: pytest.CaptureFixture[str], flags: tuple[object, ...]
) -> None:
    assert search(quick, *flags) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {REFUSED[flags]}")
    assert "secret" not in errors
    assert len(errors.splitlines()) == 1
    assert not quick.folder.exists()


@pytest.mark.parametrize(
    "url", ["postgresql://me:se@cret@host/x", "postgresql://host/x?user=me&password=se@cret"]
)
@pytest.mark.parametrize("words", [["--storage", "{}"], ["--storage={}"]])
def test_a_password_is_not_kept(tmp_path: Path, url: str, words: list[str]) -> None:
    folder = tmp_path / "logs" / "studies" / "x"
    save_command(folder, ["--trials", "3", *(word.format(url) for word in words)])
    text = (folder / "study.json").read_text()
    assert "cret" not in text
    assert json.loads(text)["arguments"] == ["--trials", "3"]


@pytest.mark.parametrize(
    "flags", [["--prune", "none"], ["--prune", "hyperband"], ["--storage", "sqlite:///"]]
)
def test_other_pruning_rules_and_a_database(
    quick: QuickStudy, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    median = storage.MedianPruner  # with three spared, not five, it ends one of the four
    monkeypatch.setattr(storage, "MedianPruner", lambda n_startup_trials, **rest: median(3, **rest))
    words = [f"{word}{quick.root}/trials.db" if word.startswith("sqlite") else word for word in flags]
    assert search(quick, "--trials", 4, *words) == 0
    runs = Run.all(quick.folder / "quick")
    assert sorted(run.record["study"]["trial"] for run in runs) == list(range(4))
    assert {run.status for run in runs} == ({"finished"} if "none" in flags else {"finished", "pruned"})
    assert (quick.folder / "journal.log").exists() == ("--storage" not in flags)


def test_an_address_without_a_password_is_kept_as_it_is() -> None:
    for url in ("sqlite:///a:b@c.db", "postgresql://me@host:5432/x?user=me@corp", "mysql://host/x"):
        assert without_password(url) == url
    assert (
        without_password("mysql+pymysql://h/d?user=me&passwd=secret")
        == "mysql+pymysql://h/d?user=me&passwd=***"
    )


def test_every_metric_says_whether_lower_is_better(tmp_path: Path) -> None:
    directions = {"loss": "minimize", "accuracy": "maximize", "log_loss": "minimize", "macro_f1": "maximize"}
    directions |= {"calibration_error": "minimize", "brier_score": "minimize", "top2_accuracy": "maximize"}
    job = Job(tmp_path, [], False, False, {})
    for metric, direction in directions.items():
        plan = Plan(tmp_path, "x", job, "x", [], f"val/{metric}", 1, 0, "none", None, {})
        assert plan.direction == direction


def test_a_refused_command_is_not_kept(quick: QuickStudy) -> None:
    assert search(quick, "--storage", "nowhere") == 2
    assert not (quick.folder / "study.json").exists()
    quick.space.write_text("z: [1]")
    assert search(quick, "--trials", 1) == 2  # the search file is checked all the same
    quick.space.write_text(SPACE)
    assert search(quick, "--trials", 1) == 0
    assert search(quick, "--trials", 2) == 0
    arguments = json.loads((quick.folder / "study.json").read_text())["arguments"]
    assert arguments == quick.arguments("--trials", 2)


def test_resuming_names_its_folder_and_its_database(
    quick: QuickStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(quick, "--trials", 1) == 0
    assert call([f"--resume={quick.folder}", "--trials=2"]) == 0
    assert len(quick.trials()) == 2
    moved = tmp_path / "moved"
    moved.mkdir()
    command = json.loads((quick.folder / "study.json").read_text())
    (moved / "study.json").write_text(json.dumps(command))
    refused(["--resume", str(moved)], capsys, f"--resume {moved}: its command leads to {quick.folder}; ")
    (moved / "study.json").write_text(json.dumps(command | {"storage": "postgresql://me:***@h/x"}))
    error = f"--resume {moved}: its trials are in postgresql://me:***@h/x; give --storage URL, too"
    refused(["--resume", str(moved)], capsys, error)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], error: str) -> None:
    capsys.readouterr()
    assert call(arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {error}")


def test_a_trial_that_is_killed_before_its_first_checkpoint_begins_again(quick: QuickStudy) -> None:
    record = {"name": "quick-search", "trial": 0, "values": {}}
    command = [str(TRAINER), "--config", str(quick.config), "--logs", str(quick.folder), "--x", "0.3"]
    (quick.folder / "trials").mkdir(parents=True)
    trial = TrialRun(quick.folder, "quick", command, record, "val/accuracy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECONDS_AN_EPOCH", "30")
        trial.start()
    assert isinstance(trial.child, Child)
    while trial.find() is None or not (quick.folder / "quick" / "starts.txt").exists():
        assert trial.child.poll() is None
        time.sleep(0.05)
    (trainer,) = [child for child in children(os.getpid()) if str(quick.config) in child.cmdline()]
    trainer.kill()
    trial.child.wait()
    status = trial.ended()
    assert status == -signal.SIGKILL
    assert trial.restart_if_stopped(status)
    trial.child.wait()
    assert trial.outcome(0) == (pytest.approx(0.7875, abs=0.1), "")
    assert [run.status for run in Run.all(quick.folder / "quick")] == ["failed", "finished"]


def test_epochs_that_have_not_ended_are_not_looked_at(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "cnn", kind="lightning", seed=0)
    record = {"name": "cnn-search", "trial": 0, "values": {}}
    run.update(study=record)
    (run.path / "metrics.csv").write_text("epoch,val/accuracy,train/loss\n0,0.8,1.0\n1,0.9,\n")
    assert TrialRun(tmp_path, "cnn", [], record, "val/accuracy").values() == {0: 0.8}


def test_another_study_of_the_same_name_is_refused(
    quick: QuickStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    search(quick, "--trials", 1)
    capsys.readouterr()
    assert search(quick, "--trials", 2, "--sampler-seed", 1) == 2
    error = "error: --study quick-search: was started with --sampler-seed 0, and not with --sampler-seed 1; "
    assert capsys.readouterr().err.startswith(error)
    quick.space.write_text("x: [0.1, 0.2]")
    assert search(quick, "--trials", 2) == 2
    assert "was started with --search" in capsys.readouterr().err
    quick.space.write_text(SPACE)
    assert search(quick, "--trials", 2, "--seed_everything", 1) == 2
    assert (
        "was started without --seed_everything, and not with --seed_everything 1" in capsys.readouterr().err
    )
    assert len(quick.trials()) == 1


def test_no_study_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, error in (([], "--resume: expected one argument"), ([str(tmp_path)], "error: --resume")):
        assert call(["--resume", *words]) == 2
        assert error in capsys.readouterr().err

"""``scripts/study.py`` on lists and seeds: what is finished is skipped, a failure holds nothing up."""

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmnist.core.runs import Run
from fmnist.core.shipped import FOLDER, shipped_names
from fmnist.studies import many
from fmnist.studies import resolver as resolving
from fmnist.studies.entries import Entry, groups_of
from fmnist.studies.jobs import Job, find_jobs
from fmnist.studies.many import is_same, run_jobs, table_of
from fmnist.studies.processes import LostChild, lock
from fmnist.studies.resolver import Resolver
from tests.evaluation.made import make_run
from tests.studies import conftest

Call = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
TRAINER = """
import json, sys, time, yaml
from pathlib import Path
values = dict(zip(sys.argv[1::2], sys.argv[2::2]))
config = yaml.safe_load(Path(values["--config"]).read_text())
name, logs = config["name"], values.get("--logs", "logs")
if name == "broken":
    sys.exit("error: it is broken")
config |= {"logs": logs, "data": {"root": values.get("--data.root", "data")}}
config |= {"seed_everything": values[flag] for flag in ["--seed_everything"] if flag in values}
config["data"] |= {"split_seed": values[flag] for flag in ["--data.split_seed"] if flag in values}
if "--print_config" in sys.argv:
    print(yaml.safe_dump(config))
    sys.exit()
print("trains", name, flush=True)
if name == "endless":
    time.sleep(100)
if name in ("left", "right"):  # each waits for the other
    Path(logs, name).mkdir(parents=True)
    end = time.monotonic() + 120
    while len(list(Path(logs).glob("*t"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    if time.monotonic() >= end:
        sys.exit("error: waited in vain")
path = Path(logs, name, f"version_{len(list(Path(logs, name).glob('*')))}")
path.mkdir(parents=True)
(path / "config.yaml").write_text(yaml.safe_dump(config))
metrics = {"test": {"accuracy": 0.91234, "f1": 0.9}, "val": {"accuracy": 0.81234, "f1": 0.8}}
record = {"name": name, "status": "finished", "started": "now", "train_seconds": 125.0, "metrics": metrics}
(path / "run.json").write_text(json.dumps(record))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Configurations of a trainer that takes no time, one of which cannot be trained."""
    (tmp_path / "trainer.py").write_text(TRAINER)
    folder = tmp_path / "configs"
    folder.mkdir()
    write(folder, "broken")
    write(folder, "mlp")
    write(folder, "a_blend", "blend: [logs/mlp, logs/cnn]\n")
    write(folder, "cnn")
    return folder


def write(folder: Path, name: str, body: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"# python {folder.parent / 'trainer.py'} --config {path}\nname: {name}\n{body}")
    return path


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the script; return its exit status and what it and its subprocesses printed."""
    common = ["--logs", str(folder.parent / "logs"), "--data.root", str(folder)]
    return lambda *args: (conftest.call([*map(str, args), *common]), *capfd.readouterr())


def rows(printed: str) -> list[str]:
    """Return the names in the table."""
    lines = printed[printed.index("run ") :].splitlines()[1:]
    assert lines[-1].endswith("study.html: open it in a browser")
    return [line.split()[0] for line in lines[:-1]]


def test_lists_and_seeds_need_no_optuna() -> None:
    code = "import sys; sys.modules['optuna'] = None; import fmnist.studies.command, fmnist.studies.many"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_seeds_of_several_splits_are_told_apart() -> None:
    entries = [
        Entry(n, {"seed_everything": seed, "data.split_seed": split}, "finished", 0.9 + n / 100)
        for n, (seed, split) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)])
    ]
    groups = groups_of(entries)
    assert [[entry.number for entry in group] for group in groups.values()] == [[0, 1], [2, 3]]
    assert list(groups) == ["data.split_seed 0", "data.split_seed 1"]
    assert list(groups_of(entries[:2])) == [""]


def test_a_script_that_does_not_exist_and_odd_features_stop_no_other(run: Call, folder: Path) -> None:
    (folder / "lost.yaml").write_text(f"# python nowhere.py --config {folder}/lost.yaml\nname: lost\n")
    write(folder, "odd", "features: [3]\n")
    status, printed, errors = run(folder)
    assert status == 1
    assert "nowhere.py: does not exist" in errors
    assert {"odd", "cnn", "mlp"} <= set(rows(printed))


def test_a_failure_holds_nothing_up_and_blends_come_last(run: Call, folder: Path) -> None:
    status, printed, errors = run(folder)
    assert status == 1
    assert [line for line in printed.splitlines() if "trains" in line] == [
        "trains cnn", "trains mlp", "trains a_blend",
    ]  # fmt: skip
    assert errors.splitlines() == ["error: it is broken", f"failed: {folder / 'broken.yaml'}"]
    assert rows(printed) == ["cnn", "mlp", "a_blend"]
    assert "0.9123" in printed


def test_what_is_finished_is_skipped(run: Call, folder: Path) -> None:
    (folder / "broken.yaml").unlink()
    assert run(folder / "cnn.yaml")[0] == 0
    status, printed, _ = run(folder)
    assert status == 0
    assert f"finished already: {folder.parent / 'logs' / 'cnn' / 'version_0'}" in printed
    assert "trains mlp" in printed
    status, printed, _ = run(folder)
    assert (status, printed.count("finished already: ")) == (0, 3)
    assert rows(printed) == ["cnn", "mlp", "a_blend"]


@pytest.mark.parametrize("ends", [True, False])
def test_a_run_that_goes_on_elsewhere_is_waited_for(
    run: Call, folder: Path, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A baseline whose study was killed; if it is killed, too, the new study runs it again."""
    made = make_run(folder.parent / "logs", "cnn", kind="scikit-learn")
    config = {"name": "cnn", "logs": "elsewhere", "data": {"root": "elsewhere"}, "seed": None}
    (made.path / "config.yaml").write_text(yaml.safe_dump(config))
    made.update(status="running")

    class Awaited(LostChild):
        def poll(self) -> int | None:
            if ends:
                made.finish("finished", metrics={"test": {"accuracy": 0.5}})
            held.close()
            return super().poll()

    monkeypatch.setattr(many, "LostChild", Awaited)
    held = contextlib.ExitStack()
    held.enter_context(made.locked())
    status, printed, _ = run(folder / "cnn.yaml")
    assert status == 0
    assert f"waits for {made.path}" in printed
    assert ("finished already" in printed, "trains cnn" in printed) == (ends, not ends)


def test_a_process_without_a_run_folder_yet_is_waited_for(
    run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Awaited(LostChild):
        def poll(self) -> int | None:
            held.close()
            return super().poll()

    monkeypatch.setattr(many, "LostChild", Awaited)
    study = folder.parent / "logs" / "studies" / "cnn"
    study.mkdir(parents=True)
    descriptor = lock(study / "0.lock")
    assert descriptor is not None
    held = contextlib.ExitStack()
    held.callback(os.close, descriptor)
    status, printed, _ = run(folder / "cnn.yaml")
    assert status == 0
    assert "waits for the process that an earlier study began" in printed
    assert printed.count("trains cnn") == 1


def test_flags_of_a_search_go_with_a_search(run: Call, folder: Path) -> None:
    for flag, value in (("--sampler-seed", 1), ("--trials", 5), ("--finish", 2), ("--prune", "none")):
        status, _, errors = run(folder / "cnn.yaml", flag, value)
        assert (status, errors) == (2, f"error: {flag}: goes with --search FILE\n")


def test_the_finished_runs_are_compared(run: Call, folder: Path) -> None:
    for name in ("cnn", "mlp"):
        made = make_run(folder.parent / "logs", name, metrics={"test": {"accuracy": 0.9}})
        config = {"name": name, "logs": "elsewhere", "data": {"root": "elsewhere"}, "seed": None}
        (made.path / "config.yaml").write_text(yaml.safe_dump(config))
    output = folder.parent / "page"
    status, printed, _ = run("--compare", output, folder / "cnn.yaml", folder / "mlp.yaml")
    assert status == 0
    assert "trains" not in printed
    assert printed.splitlines()[-1] == f"{output / 'compare.html'}: 2 runs"
    assert (output / "compare.html").exists()


def test_the_folder_of_a_comparison_is_made_before_the_trainings(run: Call, folder: Path) -> None:
    (folder.parent / "page").touch()
    status, printed, errors = run(
        "--compare", folder.parent / "page", folder / "cnn.yaml", folder / "mlp.yaml"
    )
    assert (status, errors.splitlines()[0]) == (
        2, f"error: --compare {folder.parent / 'page'}: cannot be written (File exists)",
    )  # fmt: skip
    assert "trains" not in printed


def test_runs_that_their_time_cut_short_are_compared_and_count_as_finished(run: Call, folder: Path) -> None:
    path = write(folder, "cnn", "trainer: {max_time: '00:01:00:00'}\n")
    config = yaml.safe_load(path.read_text()) | {"logs": "elsewhere", "seed": None}
    for seed in range(2):
        made = make_run(folder.parent / "logs", "cnn", seed=seed, metrics={"test": {"accuracy": 0.9}})
        own = {**config, "seed_everything": str(seed), "data": {"root": "elsewhere"}}
        (made.path / "config.yaml").write_text(yaml.safe_dump(own))
        made.update(status="stopped", ended_by="max_time")
    output = folder.parent / "page"
    status, printed, errors = run("--compare", output, "--config", path, "--seeds", 2)
    assert (status, errors) == (0, "")
    assert "trains" not in printed
    assert (output / "compare.html").exists()
    page = (folder.parent / "logs" / "studies" / "cnn-seeds" / "study.html").read_text()
    assert "No run is finished" not in page
    assert "<dd>2<small>no other" in page


def test_every_pair_of_seeds_has_a_run_and_a_blend_runs_once(run: Call, folder: Path) -> None:
    (folder / "broken.yaml").unlink()
    status, printed, _ = run(folder, "--seeds", 2, "--split-seeds", 2)
    runs = Run.all(folder.parent / "logs" / "cnn")
    pairs = {(made.config["seed_everything"], made.config["data"]["split_seed"]) for made in runs}
    assert (status, len(runs), len(pairs), printed.count("trains a_blend")) == (0, 4, 4, 1)
    study = folder.parent / "logs" / "studies" / "configs"
    assert {"study.html", "trials.csv", "trials.md", "study.json"} <= {path.name for path in study.iterdir()}
    assert conftest.call(["--resume", str(study)]) == 0
    assert len(Run.all(folder.parent / "logs" / "cnn")) == 4


def test_runs_of_a_list_go_on_at_the_same_time(run: Call, folder: Path) -> None:
    paths = [write(folder, name) for name in ("left", "right")]
    status, printed, _ = run("--jobs", 2, *paths)
    assert status == 0
    study = folder.parent / "logs" / "studies" / "runs"
    assert [(study / f"{n}.log").read_text() for n in range(2)] == ["trains left\n", "trains right\n"]
    assert {f"[{n}/2] {path}: finished" for n, path in enumerate(paths, 1)} <= set(printed.splitlines())


def test_files_of_one_name_are_two_configurations(run: Call, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    paths = [folder / "cnn.yaml", folder / "mlp.yaml", write(other, "cnn")]
    jobs, _ = find_jobs([str(path) for path in paths], [])
    assert [job.values["config"] for job in jobs] == [str(paths[0]), "mlp.yaml", str(paths[2])]


def test_runs_that_are_not_tested_are_compared_by_validation(run: Call, folder: Path) -> None:
    path = write(folder, "cnn", "test: false\n")
    status, printed, _ = run("--config", path, "--seeds", 2)
    assert status == 0
    assert "Validation accuracy 0.8123 ± 0.0000 over 2 seeds" in printed
    status, _, errors = run("--config", path, "--seeds", 2, "--compare", folder.parent / "page")
    assert (status, errors.startswith("error: --compare: compares runs on the test set")) == (2, True)


@pytest.mark.parametrize("flags", [[], ["--seeds", "2"]])
@pytest.mark.parametrize("named", [[], ["--config"]])
def test_runs_need_no_flags(
    folder: Path, monkeypatch: pytest.MonkeyPatch, named: list[str], flags: list[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    assert conftest.call([*named, str(folder / "cnn.yaml"), *flags]) == 0
    assert len(Run.all("logs/cnn")) == (2 if flags else 1)


def test_a_study_of_studies_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ROOT / "configs" / "search" / "svm.yaml")
    for words in (["--config", path], [path]):
        assert conftest.call([*words, "--seeds", "2"]) == 2
        assert capsys.readouterr().err.startswith(f"error: {path}: is a search space")


def test_what_a_study_sets_itself_is_refused(run: Call, folder: Path) -> None:
    config = ["--config", folder / "cnn.yaml"]
    for flags, message in (
        (
            ["--seeds", 2, "--seed_everything", 5],
            "--seed_everything 5: leave it out, it is given by --seeds 2",
        ),
        (["--split-seeds", 2, "--data.split_seed=1"], "--data.split_seed 1: leave it out, it is given by"),
        (["--seeds", 2, "--test", "false", "--compare", "page"], "--compare: compares runs on the test set"),
    ):
        status, _, errors = run(*config, *flags)
        assert (status, errors[: len(f"error: {message}")]) == (2, f"error: {message}")
    status, _, errors = run("--config", folder / "a_blend.yaml", "--seeds", 2)
    assert (status, errors.startswith("error: --seeds: does not go with --blend")) == (2, True)


@pytest.mark.parametrize("limit", [None, "00:01:00:00", "00:02:00:00"])
def test_a_run_that_its_time_cut_short_counts_for_that_time_and_continues_with_another(
    tmp_path: Path, limit: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_run(tmp_path, "cnn")
    config = {"name": "cnn", "logs": str(tmp_path), "trainer": {"max_time": "00:01:00:00"}}
    (made.path / "config.yaml").write_text(yaml.safe_dump(config))
    made.update(status="stopped", ended_by="max_time")
    asked = {**config, "trainer": {"max_time": limit}}
    assert (many.finished_run(asked) is not None) == (limit == "00:01:00:00")

    begun: list[list[str]] = []
    monkeypatch.setattr(many, "Child", lambda command, *_: begun.append(command))
    (made.path / "checkpoints" / "last.ckpt").touch()
    job = Job(tmp_path, ["train.py", "--config", "x.yaml"], False, False, {})
    many._begin(job, asked, {}, tmp_path / "lock", None)
    longer = [] if limit == "00:01:00:00" else ["--trainer.max_time", limit or "null"]
    assert begun == [["train.py", "--resume", str(made.path), *longer]]


@pytest.mark.parametrize("change", ["flag", "file", "status", "damage"])
def test_a_run_of_another_configuration_or_unfinished_does_not_count(
    run: Call, folder: Path, change: str
) -> None:
    path = folder / "cnn.yaml"
    run(path)
    first = Run.find(folder.parent / "logs" / "cnn")
    if change == "file":
        write(folder, "cnn", "trainer: {max_epochs: 4}\n")
    if change == "status":
        first.update(status="stopped")
    if change == "damage":
        (first.path / "run.json").write_text("{")
    status, printed, _ = run(path, *(["--seed_everything", 1] if change == "flag" else []))
    assert status == 0
    assert "trains cnn" in printed
    assert Run.find(first.path.parent).version == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "flags"),
    [("baselines/naive_bayes", []), ("lenet5", ["--trainer.max_epochs", "1", "--data.batch_size", "50"])],
)
def test_the_real_scripts_print_the_configuration_that_their_runs_record(
    synthetic_root: Path, tmp_path: Path, config: str, flags: list[str]
) -> None:
    places = ["--data.root", str(synthetic_root), "--data.val_size", "100", "--logs", str(tmp_path)]
    (job,), _ = find_jobs([str(ROOT / "configs" / f"{config}.yaml")], [*places, *flags])
    with Resolver() as resolver:
        (run,) = run_jobs([job], resolver, "test", tmp_path)
        assert run is not None
        (again,) = run_jobs([job], resolver, "test", tmp_path)
        assert again is not None
        assert again.path == run.path
    assert run.record["study"] == {
        "name": "test",
        "trial": 0,
        "values": {"config": f"{Path(config).name}.yaml"},
    }
    assert table_of([run], [job.values]).text().splitlines()[1].startswith(run.record["name"])


@pytest.mark.parametrize(
    "text", ["name: x\n", "# Don't run\nname: x\n", "# python scripts/a.py --config y.yaml\n", "a: ["]
)
def test_a_file_without_its_command_is_named_and_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = folder / "broken.yaml"
    path.write_text(text)
    (folder / "unreadable.yaml").mkdir()
    jobs, failed = find_jobs([str(folder)], [])
    assert [job.path.stem for job in jobs] == ["cnn", "mlp", "a_blend"]
    assert failed == [path, folder / "unreadable.yaml"]
    assert capsys.readouterr().err.startswith(f"error: {path}: ")


def test_nothing_to_run_is_refused(run: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, reason in (("missing.yaml", "cannot be read"), ("empty", "holds no YAML file")):
        status, _, errors = run(tmp_path / name)
        assert status == 2
        assert errors.startswith(f"error: {tmp_path / name}: {reason}")


def test_sigterm_stops_the_training_too(folder: Path) -> None:
    path = write(folder, "endless")
    command = [sys.executable, str(ROOT / "scripts" / "study.py"), str(path)]
    flags = ["--logs", str(folder.parent / "logs"), "--data.root", "data"]
    with subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "trains" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)  # ends when nothing writes into the pipe any more
    assert process.returncode == 143


def test_the_projects_own_configurations_begin_with_their_command() -> None:
    folders = [str(ROOT / "configs" / name) for name in ("published", "baselines", "record")]
    jobs, failed = find_jobs(folders, [])
    assert not failed
    assert all(Path(job.command[0]).is_file() for job in jobs)
    derived = [job.path.stem for job in jobs if job.is_derived]
    assert sorted(derived) == ["blend", "cnn_knn", "cnn_logistic_regression", "cnn_svm", "ensemble"]
    assert derived == [job.path.stem for job in jobs[-5:]]
    taught = [job.path.stem for job in jobs if job.needs_runs and not job.is_derived]
    assert taught == ["lenet5", "mlp"] == [job.path.stem for job in jobs[-7:-5]]


def test_what_changes_nothing_learned_trains_nothing_again(run: Call, folder: Path) -> None:
    run(folder / "cnn.yaml")
    write(folder, "cnn", "checkpoint_minutes: 5\ntrainer: {enable_progress_bar: false}\n")
    assert "finished already: " in run(folder / "cnn.yaml")[1]


def test_a_new_flag_that_is_null_trains_no_older_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])  # Lightning warns of flags beside given ones

    def resolve(*args: str) -> dict[str, Any]:
        """Answer as the resolver does, in this process: another would import PyTorch anew."""
        config: dict[str, Any] = json.loads(json.dumps(resolving._training(list(args)).config, default=str))
        return config

    mlp = ["--config", "configs/mlp.yaml"]
    asked = resolve(*mlp)
    older = copy.deepcopy(asked)
    for name in ("teachers", "teacher_weight", "teacher_temperature"):
        del older[name]
    assert is_same(asked, older)
    for changed in (["--teachers", "lenet5"], ["--teachers", "lenet5", "--teacher_weight", "0.5"]):
        assert not is_same(resolve(*mlp, *changed), older)
    for name in shipped_names():  # a new flag must be null by default, or be written into these files
        path = FOLDER / name / "config.yaml"
        assert is_same(resolve("--config", str(path)), yaml.safe_load(path.read_text())), name


def test_runs_of_one_name_and_runs_without_metrics_are_in_the_table(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "my logs", name) for name in ("cnn", "cnn", "mlp")]
    runs[0].update(metrics={"test": {"accuracy": 0.9}})
    text = table_of(runs, [{}] * 3).text().splitlines()
    assert text[1].startswith(f"'{runs[0].path}'")
    assert "0.9000" in text[1]
    assert text[2].startswith(f"'{runs[1].path}'")
    assert text[3].startswith("mlp ")

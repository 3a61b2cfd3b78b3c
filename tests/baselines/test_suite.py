"""The suite skips what is finished, goes on after a failure, and ends in a table."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fmnist.baselines import report, suite, worker
from fmnist.baselines.config import configure
from fmnist.core.errors import InputError
from fmnist.core.runs import Run

BAYES = "estimator: {class_path: sklearn.naive_bayes.GaussianNB}\n"


def write(folder: Path, name: str, body: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"{suite.COMMAND}--config {path}\nname: {name}\n{body}")
    return path


@pytest.fixture
def run_suite(
    synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the suite on the drawn set; return its exit status and what it said."""
    monkeypatch.setattr(worker, "fit_apart", worker.fit)
    monkeypatch.setattr(report, "draw_figures", lambda *_: {})
    monkeypatch.setattr(report, "write_tensorboard", lambda *_: None)
    common = ["--data.root", str(synthetic_root), "--data.val_size", "100", "--logs", str(tmp_path / "logs")]

    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            suite.main([*args, *common])
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_all_are_fitted_once(run_suite: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    write(folder, "bayes", BAYES)
    write(folder, "knn", "estimator: {class_path: sklearn.neighbors.KNeighborsClassifier}\n")
    (folder / "network.yaml").write_text("# python scripts/train.py --config network.yaml\nname: network\n")
    status, said, _ = run_suite(str(folder))
    assert status == 0
    assert "network" not in said
    rows = said[said.index("baseline ") :].splitlines()
    assert [row.split()[0] for row in rows] == ["baseline", "bayes", "knn"]
    bayes = Run.find(tmp_path / "logs" / "bayes")
    assert f"{bayes.record['metrics']['test']['accuracy']:.4f}" in rows[1]
    assert bayes.record["command"].startswith(
        f"python scripts/baseline.py --config {folder / 'bayes.yaml'} --data"
    )
    status, again, _ = run_suite(str(folder))
    assert status == 0
    assert again.count("finished already: ") == 2
    assert again[again.index("baseline ") :].splitlines() == rows
    assert len(list((tmp_path / "logs").glob("*/*"))) == 2


def test_a_changed_configuration_is_fitted_again(
    run_suite: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = write(tmp_path, "bayes", BAYES)
    run_suite(str(path))
    _, said, _ = run_suite(str(path), "--data.train_size", "200")
    assert "finished already" not in said
    assert Run.find(tmp_path / "logs" / "bayes").version == 1


def test_an_unfinished_or_damaged_run_is_no_obstacle(
    run_suite: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = write(tmp_path, "bayes", BAYES)
    run_suite(str(path))
    run = Run.find(tmp_path / "logs" / "bayes")
    run.update(status="failed")
    damaged = run.path.with_name("version_7")
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    assert run_suite(str(path))[0] == 0
    assert Run.find(tmp_path / "logs" / "bayes").version == 8


def test_a_failure_holds_nothing_up(
    run_suite: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    write(folder, "a_wrong", "estimator: {class_path: sklearn.svm.SCV}\n")
    defect = write(folder, "b_defect", "estimator: {class_path: sklearn.tree.DecisionTreeClassifier}\n")
    write(folder, "c_bayes", BAYES)
    fit = worker.fit

    def fail(pipeline: object, *rest: object) -> object:
        if "Tree" in str(pipeline):
            raise RuntimeError("a defect")
        return fit(pipeline, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "fit_apart", fail)
    status, said, error = run_suite(str(folder))
    assert status == 1
    assert "error: --estimator sklearn.svm.SCV: is no class" in error
    assert "RuntimeError: a defect" in error
    assert error.splitlines()[-1] == f"failed: {folder / 'a_wrong.yaml'}, {defect}"
    assert [row.split()[0] for row in said[said.index("baseline ") :].splitlines()] == ["baseline", "c_bayes"]
    assert Run(tmp_path / "logs" / "b_defect" / "version_0").record["status"] == "failed"


def test_blends_come_last(tmp_path: Path) -> None:
    blend = write(tmp_path, "a", "blend: [logs/b, logs/c]\n")
    others = [write(tmp_path, name, BAYES) for name in ("b", "c")]
    assert suite.find_configurations([str(tmp_path)]) == [*others, blend]


def test_data_may_come_from_elsewhere(run_suite: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    path = write(tmp_path, "bayes", BAYES)
    run_suite(str(path))
    flags = ["--config", str(path), "--data.val_size", "100", "--logs", str(tmp_path / "logs")]
    assert suite.finished_run(configure([*flags, "--data.root", "elsewhere"])) is not None
    assert suite.finished_run(configure([*flags, "--seed", "1"])) is None


@pytest.mark.parametrize(
    ("names", "said"),
    [(["missing.yaml"], "missing.yaml: cannot be read"), (["."], "there is no YAML that begins with")],
)
def test_nothing_to_do_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        suite.find_configurations(names)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        suite.main(["--help"])
    assert stop.value.code == 0
    assert "python -m fmnist.baselines.suite" in capsys.readouterr().out

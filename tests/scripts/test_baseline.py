"""``scripts/baseline.py`` from its command line to a run: a configuration, signals, bad input."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist.baselines import report
from scripts.baseline import main
from tests.machine import heed_signals
from tests.quick import leave_out_figures

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
CONFIG = "configs/baselines/hog_svm.yaml"
SCRIPT = [sys.executable, str(ROOT / "scripts" / "baseline.py")]


def test_a_configuration_becomes_a_run(
    synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_out_figures(monkeypatch, report)
    monkeypatch.chdir(ROOT)
    args = ["--config", CONFIG, "--features", "[hog, {pca: 20}]", "--data.val_size", "100"]
    main([*args, "--data.root", str(synthetic_root), "--logs", str(tmp_path)])
    record = json.loads((tmp_path / "hog-svm" / "version_0" / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["command"].startswith(f"python scripts/baseline.py --config {CONFIG} ")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "SVC(C=10, cache_size=2000) on [hog, {pca: 20}]"
    assert f"test accuracy {record['metrics']['test']['accuracy']:.4f}" in last


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--estimator", "sklearn.svm.SCV"], "--estimator sklearn.svm.SCV: is no class of scikit-learn"),
        (["--features", "[embedding]"], "--estimator or --blend: one of them is required"),
        (["--blend", "[nowhere, there]"], "--blend nowhere: is no run folder"),
        (["--blend", "[nowhere, there]", "--print_config"], "--blend nowhere: is no run folder"),
    ],
)
def test_bad_input_is_refused_before_any_data_are_loaded(
    tmp_path: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*args, "--data.root", str(tmp_path / "none"), "--logs", str(tmp_path / "logs")])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {message}")
    assert (len(printed.err.splitlines()), printed.out) == (1, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_stops_the_fit(
    synthetic_root: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    endless = ["--estimator", "sklearn.neural_network.MLPClassifier", "--estimator.max_iter", "1000000"]
    endless += ["--estimator.n_iter_no_change", "1000000", "--data.val_size", "100"]
    with subprocess.Popen(
        [*SCRIPT, *endless, "--data.root", str(synthetic_root), "--logs", str(tmp_path)],
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        preexec_fn=heed_signals,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if " s  Iteration " in line:  # the first progress of the fit
                    break
            os.killpg(process.pid, number)  # as a terminal does
            _, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    record = json.loads((tmp_path / "baseline" / "version_0" / "run.json").read_text())
    assert record["status"] == "stopped"
    assert record["finished"] is not None

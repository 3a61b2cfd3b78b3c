"""What ``scripts/baseline.py`` does: configure, fit, score validation and test, leave a run folder."""

import dataclasses
import os
import time
from typing import Any

import numpy as np
import yaml
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

from fmnist.baselines import engine, report, worker
from fmnist.baselines.blend import FILE as BLEND
from fmnist.baselines.blend import MEMBERS, Blend
from fmnist.baselines.building import build_classifier
from fmnist.baselines.config import Config
from fmnist.baselines.estimators import NETWORK, FittedEstimator
from fmnist.baselines.features import extractor, first_step, transformers
from fmnist.baselines.members import check_member, find_member, keep_model
from fmnist.baselines.memory import check_memory
from fmnist.core.constants import CLASSES
from fmnist.core.environment import environment
from fmnist.core.errors import InputError, exits_on_sigterm
from fmnist.core.runs import Predictions, Run
from fmnist.data.arrays import PARTS, images_of
from fmnist.data.datamodule import FashionMNISTDataModule


def fit_baseline(config: Config, command: str) -> Run:
    """Fit what a configuration describes, and leave its run folder.

    Args:
        config: As it was parsed.
        command: What to record as the command.

    Returns:
        The finished run.

    Raises:
        InputError: Something about it is wrong; nearly always before any data are loaded.
    """
    config, members = find_members(config)
    steps = _build(config)
    data = FashionMNISTDataModule(**config.data)
    data.prepare_data()
    data.setup()
    _check(config, steps, members, data)
    run = _create_run(config, command, data)
    try:
        with exits_on_sigterm():
            if config.blend:
                _evaluate(run, config, *_blend(run, members, data), data)
            else:
                _evaluate(run, config, *_fit(run, config, steps, members, data), data)
    except BaseException as error:
        run.finish("stopped" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed")
        raise
    test, record = run.predictions("test"), run.record
    print(test.report())
    print(
        f"test accuracy {test.accuracy:.4f}; fit {record['fit_seconds']:.1f} s, predict "
        f"{record['predict_seconds']:.1f} s, {record['size_bytes'] / 1e6:.1f} MB; run folder {run.path}"
    )
    return run


def find_members(config: Config) -> tuple[Config, list[Run]]:
    """Find the runs that a configuration is made of, and return it with their folders in place of names.

    Raises:
        InputError: One is missing, not finished, or of the wrong kind.
    """
    if config.blend:
        members = [find_member(path, "--blend") for path in config.blend]
        for run in members:
            if (run.path / BLEND).exists():
                raise InputError(f"--blend {run.path}: is a blend itself; name the runs of its config.yaml")
        return dataclasses.replace(config, blend=[str(run.path) for run in members]), members
    name, path = first_step(config.features)
    if name != "embedding":
        return config, []
    run = find_member(path, "--features embedding")
    if run.record["kind"] != "lightning":
        raise InputError(f"--features embedding {path}: is a {run.record['kind']} run, a network is wanted")
    return dataclasses.replace(config, features=[{"embedding": str(run.path)}, *config.features[1:]]), [run]


def _build(config: Config) -> list[BaseEstimator]:
    """Return the unfitted transformers and classifier; a blend has none."""
    engine.installed(config.engine)
    if config.estimator is None:
        return []
    return [*transformers(config.features, config.seed), build_classifier(config.estimator, config.seed)]


def _check(
    config: Config, steps: list[BaseEstimator], members: list[Run], data: FashionMNISTDataModule
) -> None:
    """Refuse what the data forbid: too few images or too many, runs that have seen the validation set."""
    labels = images_of(data, "train").labels
    if len(np.unique(labels)) < len(CLASSES):
        raise InputError(f"--data.train_size {len(labels)}: leaves out classes; take at least {len(CLASSES)}")
    flag = "--blend" if config.blend else "--features embedding"
    for run in members:
        check_member(run, flag, data.data.sha256, data.split)
    check_memory(steps, len(labels))


def _create_run(config: Config, command: str, data: FashionMNISTDataModule) -> Run:
    """Make the run folder and record what is known before the fit."""
    made_with = environment()
    made_with["hardware"] |= {"device": "cpu", "threads": os.cpu_count()}
    run = Run.create(
        config.logs,
        config.name,
        kind="scikit-learn",
        command=command,
        seed=config.seed,
        **made_with,
        data_sha256=data.data.sha256,
        split=data.split,
        classes=list(CLASSES),
        parameters=None,
        train_seconds=None,
        epochs=None,
        metrics={},
    )
    (run.path / "config.yaml").write_text(config.dump())
    sizes = f"{data.split['train']:,} training and {data.split['val']:,} validation images"
    print(f"{_describe(config)}\n{sizes}; run folder {run.path}", flush=True)
    return run


def _describe(config: Config) -> str:
    if config.estimator is None:
        return f"blend of {' and '.join(config.blend or ())}"
    steps = yaml.safe_dump(config.features or ["pixels"], default_flow_style=True, width=1_000).strip()
    arguments = ", ".join(
        f"{name}={value}" for name, value in (config.estimator.get("init_args") or {}).items()
    )
    return f"{config.estimator['class_path'].rpartition('.')[2]}({arguments}) on {steps}"


def _fit(
    run: Run, config: Config, steps: list[BaseEstimator], members: list[Run], data: FashionMNISTDataModule
) -> tuple[FittedEstimator, dict[str, Any]]:
    """Fit an estimator; return it with what ``run.json`` says of it."""
    for member in members:
        keep_model(member, run.path / NETWORK)
    start = time.perf_counter()
    train = images_of(data, "train")
    x = extractor(config.features, run.path / NETWORK)(train.images)
    extraction = time.perf_counter() - start
    made = worker.fit_apart(make_pipeline(*steps), x, train.labels, config.engine)
    for remark in made.warnings:
        print(f"  warning: {remark}", flush=True)
    fitted = FittedEstimator(config.features, made.pipeline, run.path)
    seconds = round(extraction + made.seconds, 2)
    print(
        f"fitted in {seconds:.1f} s, {extraction:.1f} of them for the features, by {made.engine}", flush=True
    )
    own = fitted.parameters
    return fitted, {
        "fit_seconds": seconds,
        "train_seconds": seconds + _train_seconds(members),
        "engine": made.engine,
        "parameters": None if own is None else own + sum(member.record["parameters"] for member in members),
        "epochs": len(fitted.losses) or None,
        # of a few images, because libsvm takes a hundredth of a second for each
        "predict_agreement": fitted.agreement(train.images[:200]),
    }


def _blend(run: Run, members: list[Run], data: FashionMNISTDataModule) -> tuple[Blend, dict[str, Any]]:
    """Weight finished runs by their validation predictions; return the blend, and what to record of it."""
    start = time.perf_counter()
    val = images_of(data, "val")
    predictions = [member.predictions("val") for member in members]
    for member, made in zip(members, predictions, strict=True):
        if not np.array_equal(made.indices, val.indices):
            raise InputError(f"--blend {member.path}: its predictions are of other validation images")
    for place, member in enumerate(members):
        keep_model(member, run.path / MEMBERS / str(place))
    fitted = Blend.fit([made.logits for made in predictions], val.labels, run.path)
    for member, weight, temperature in zip(members, fitted.weights, fitted.temperatures, strict=True):
        print(f"  {member.path}: weight {weight:.3f}, temperature {temperature:.3f}", flush=True)
    counts = [member.record["parameters"] for member in members]
    seconds = round(time.perf_counter() - start, 2)
    return fitted, {
        "fit_seconds": seconds,
        "train_seconds": seconds + _train_seconds(members),
        "engine": "blend",
        "parameters": None if None in counts else sum(counts),
        "weights": fitted.weights,
        "temperatures": fitted.temperatures,
    }


def _train_seconds(members: list[Run]) -> float:
    """Return what the models took that a baseline is made of."""
    return sum(member.record.get("train_seconds") or 0.0 for member in members)


def _evaluate(
    run: Run,
    config: Config,
    fitted: FittedEstimator | Blend,
    record: dict[str, Any],
    data: FashionMNISTDataModule,
) -> None:
    """Score validation and test; leave predictions, the model, metrics, figures and TensorBoard's pages."""
    predictions = {}
    for part in PARTS[1:]:
        images, labels, indices = images_of(data, part)
        if not len(labels):
            continue
        start = time.perf_counter()
        predictions[part] = Predictions(fitted.scores(images), labels, indices)
        record["predict_seconds"] = round(time.perf_counter() - start, 2)  # the test set's stays
        run.save_predictions(part, predictions[part])
    fitted.save(run.path)
    size = sum(path.stat().st_size for path in (run.path / "checkpoints").rglob("*") if path.is_file())
    metrics = {part: report.measure(made, fitted.kind) for part, made in predictions.items()}
    run.update(**record, scores=fitted.kind, size_bytes=size, metrics=metrics)
    report.write_table(run, fitted.losses)
    drawn = report.draw_figures(run, predictions["test"], fitted.kind, images_of(data, "test").images)
    report.write_tensorboard(run, drawn, config)
    run.finish("finished")

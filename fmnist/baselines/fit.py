"""From a configuration to a finished run folder: fit, predict validation and test, measure, save."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

from fmnist.baselines import fitting, report
from fmnist.baselines.blend import MEMBERS, Blend, load_members
from fmnist.baselines.building import build_classifier, build_transformers, validating_argument
from fmnist.baselines.config import Config
from fmnist.baselines.estimator import NETWORK, FittedEstimator
from fmnist.baselines.features import ImageFunction, load_extractor
from fmnist.baselines.members import check_member, copy_model, find_members
from fmnist.baselines.trial import try_out
from fmnist.core.constants import CLASSES
from fmnist.core.environment import environment
from fmnist.core.errors import InputError, exits_on_sigterm, is_unwritable, quoted, reports_unwritable
from fmnist.core.files import write_file
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.core.tables import counted
from fmnist.data.arrays import Part, images_of, training_images_of
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule


def fit_baseline(config: Config, command: str, load_model: Callable[[Path], ImageFunction]) -> Run:
    """Fit what a configuration describes, in a new run folder that records the command line.

    Args:
        config: The configuration.
        command: The command line.
        load_model: From a run folder to the function of images uint8 (N, 28, 28) to logits float32 (N, 10);
            for the members of a blend, of any kind.

    Raises:
        InputError: The configuration is wrong, which is nearly always noticed before data are loaded.
    """
    config, members = find_members(config)
    fitting.intelex_version(config.engine)  # refuses an engine that is not installed
    steps: list[BaseEstimator] = []  # a blend has none
    if config.estimator is not None:
        steps = build_transformers(config.features, config.seed_everything)
        steps.append(build_classifier(config.estimator, config.seed_everything))
        if config.data["copies"] and (held_out := [*filter(None, map(validating_argument, steps))]):
            raise InputError(
                f"--data.copies {config.data['copies']}: {held_out[0]} validates on some of the images to "
                "fit, whose copies the estimator would know; leave out one of the two"
            )
    arguments = {name: value for name, value in config.data.items() if name != "copies"}
    arguments["augmentation"] = Augmentation(**arguments["augmentation"] or {})
    data = FashionMNISTDataModule(**arguments, seed=config.seed_everything)
    data.prepare_data()
    data.setup()
    _check(config, steps, members, data)
    run = _create_run(config, command, data)
    try:
        with exits_on_sigterm(), run.locked():
            model: FittedEstimator | Blend
            if config.blend:
                model, record = _fit_blend(run, members, data, load_model)
            else:
                model, record = _fit_estimator(run, config, steps, members, data)
            _finish(run, config, model, record, data)
    except BaseException as error:
        with contextlib.suppress(OSError):  # of a full disk, too
            run.finish("stopped" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed", error)
        if is_unwritable(error):
            with reports_unwritable(f"--logs {quoted(config.logs)}"):
                raise
        raise
    record = run.record
    if config.test:
        print(run.predictions("test").report())
    accuracies = [f"{part} accuracy {metrics['accuracy']:.4f}" for part, metrics in record["metrics"].items()]
    predict = f"predict {record['predict_seconds']:.1f} s, " if "predict_seconds" in record else ""
    print(
        f"{accuracies[-1] if accuracies else 'neither validated nor tested'}; "
        f"fit {record['fit_seconds']:.1f} s, {predict}{record['size_bytes'] / 1e6:.1f} MB; "
        f"run folder {quoted(run.path)}"
    )
    return run


def _check(
    config: Config, steps: list[BaseEstimator], members: list[Run], data: FashionMNISTDataModule
) -> None:
    """Refuse too few or too many images, and runs whose images do not go with them."""
    labels = images_of(data, "train").labels
    size = len(labels) * (1 + config.data["copies"])
    if len(np.unique(labels)) < len(CLASSES):
        raise InputError(f"--data.train_size {len(labels)}: leaves out classes; take at least {len(CLASSES)}")
    flag = "--blend" if config.blend else "--features embedding"
    for run in members:
        check_member(run, flag, data.data.sha256, data.split)
        if config.blend and not np.array_equal(
            run.predictions("val").indices, images_of(data, "val").indices
        ):
            raise InputError(f"--blend {quoted(run.path)}: its predictions are of other validation images")
    fitting.check_memory(steps, size)


def _create_run(config: Config, command: str, data: FashionMNISTDataModule) -> Run:
    """Make the run folder and record what is known before the fit."""
    made_with = environment()
    made_with["hardware"] |= {"device": "cpu", "threads": os.cpu_count()}
    run = Run.create(
        config.logs,
        config.name,
        kind="scikit-learn",
        command=command,
        seed=config.seed_everything,
        **made_with,
        data_sha256=data.data.sha256,
        split=data.split,
        classes=list(CLASSES),
        parameters=None,
        train_seconds=None,
        epochs=None,
        metrics={},
    )
    write_file(run.path / "config.yaml", config.dump())
    split, copies = data.split, config.data["copies"]
    augmented = f", {copies} augmented {'copy' if copies == 1 else 'copies'} of them" * bool(copies)
    sizes = f"{split['train']:,} training{augmented} and {counted(split['val'], 'validation image')}"
    print(f"{_describe(config)}\n{sizes}; run folder {quoted(run.path)}", flush=True)
    return run


def _describe(config: Config) -> str:
    if config.estimator is None:
        return f"blend of {' and '.join(config.blend or ())}"
    steps = yaml.safe_dump(config.features or ["pixels"], default_flow_style=True, width=1_000).strip()
    arguments = (config.estimator.get("init_args") or {}).items()
    listed = ", ".join(f"{name}={value}" for name, value in arguments)
    return f"{config.estimator['class_path'].rpartition('.')[2]}({listed}) on {steps}"


def _fit_estimator(
    run: Run, config: Config, steps: list[BaseEstimator], members: list[Run], data: FashionMNISTDataModule
) -> tuple[FittedEstimator, dict[str, Any]]:
    """Fit an estimator; return it and what to record of it."""
    for member in members:
        copy_model(member, run.path / NETWORK)
    start = time.perf_counter()
    images, labels = training_images_of(data, config.data["copies"])
    x = load_extractor(config.features, run.path / NETWORK)(images)
    extraction = time.perf_counter() - start
    pipeline = make_pipeline(*steps)
    try_out(pipeline, x, labels)
    fit = fitting.fit_in_subprocess(pipeline, x, labels, config.engine)
    for warning in fit.warnings:
        print(f"  warning: {warning}", flush=True)
    seconds = round(extraction + fit.seconds, 2)
    shares = f"{seconds:.1f} s, {extraction:.1f} of them for the features"
    print(f"fitted in {shares}, by {fit.engine}", flush=True)
    estimator = FittedEstimator(config.features, fit.pipeline, run.path)
    own = estimator.parameters
    return estimator, {
        "fit_seconds": seconds,
        "train_seconds": seconds + _train_seconds(members),
        "engine": fit.engine,
        "parameters": None if own is None else own + sum(member.record["parameters"] for member in members),
        "epochs": len(estimator.losses) or None,
        # of a few images, because libsvm takes a hundredth of a second for each
        "predict_agreement": estimator.agreement(images[:200]),
    }


def _fit_blend(
    run: Run, members: list[Run], data: FashionMNISTDataModule, load_model: Callable[[Path], ImageFunction]
) -> tuple[Blend, dict[str, Any]]:
    """Weight finished runs by their validation predictions; return the blend, and what to record of it."""
    start = time.perf_counter()
    logits = [member.predictions("val").logits for member in members]
    for place, member in enumerate(members):
        copy_model(member, run.path / MEMBERS / str(place))
    functions = load_members(run.path, len(members), load_model)
    blend = Blend.fit(logits, images_of(data, "val").labels, functions)
    for member, weight, temperature in zip(members, blend.weights, blend.temperatures, strict=True):
        print(f"  {quoted(member.path)}: weight {weight:.3f}, temperature {temperature:.3f}", flush=True)
    counts = [member.record["parameters"] for member in members]
    seconds = round(time.perf_counter() - start, 2)
    return blend, {
        "fit_seconds": seconds,
        "train_seconds": seconds + _train_seconds(members),
        "engine": "blend",
        "parameters": None if None in counts else sum(counts),
        "weights": blend.weights,
        "temperatures": blend.temperatures,
    }


def _train_seconds(members: list[Run]) -> float:
    """Return the training time of the runs that a baseline is made of."""
    return sum(member.record.get("train_seconds") or 0.0 for member in members)


def _finish(
    run: Run,
    config: Config,
    model: FittedEstimator | Blend,
    record: dict[str, Any],
    data: FashionMNISTDataModule,
) -> None:
    """Predict validation and test; save predictions, model, metrics, figures and TensorBoard's events."""
    predictions = {}
    parts: tuple[Part, ...] = ("val", "test") if config.test else ("val",)
    for part in parts:
        images, labels, indices = images_of(data, part)
        if not len(labels):
            continue
        start = time.perf_counter()
        predictions[part] = Predictions(model.logits(images), labels, indices)
        record["predict_seconds"] = round(time.perf_counter() - start, 2)  # the test set's stays
    for part, own in predictions.items():  # once all of them are known to be numbers
        run.save_predictions(part, own)
    model.save(run.path)
    size = sum(path.stat().st_size for path in (run.path / "checkpoints").rglob("*") if path.is_file())
    metrics = {part: report.measure(own, model.score_type) for part, own in predictions.items()}
    run.update(**record, scores=model.score_type, size_bytes=size, metrics=metrics)
    report.write_table(run, model.losses)
    figures = {}
    if config.test:
        figures = report.draw_figures(run, predictions["test"], images_of(data, "test").images)
    report.write_tensorboard(run, figures, config)
    run.finish("finished")

"""The command line of a baseline: YAML files that are merged in order, and a flag for each of their keys."""

import argparse
import copy
import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import yaml

from fmnist.baselines.features import EXTRACTORS, TRANSFORMERS
from fmnist.core.commands import shell_command, shipped_path
from fmnist.core.errors import InputError
from fmnist.core.runs import check_name
from fmnist.core.yaml_files import as_written, read_yaml, with_numbers

Engine = Literal["auto", "fast", "stock"]
ENGINES = get_args(Engine)
DEFAULTS: dict[str, Any] = {
    "name": "baseline",
    "logs": "logs",
    "seed_everything": 0,
    "engine": "auto",
    "test": True,
    "features": [],
    "estimator": None,
    "blend": None,
    "data": {
        "root": "data",
        "val_size": 5000,
        "train_size": None,
        "split_seed": 0,
        "fold": 0,
        "copies": 0,
        "augmentation": None,
    },
}
HELP = f"""\
every key of the YAML is a flag, too; flags win over files, and later ones over earlier ones:
  --name NAME                  the run's folder is LOGS/NAME/version_N
  --logs DIR                   folder of all runs
  --seed_everything N          random_state of whatever takes one and is given none
  --engine {"|".join(ENGINES)}     scikit-learn-intelex where it is faster and equal, or scikit-learn alone
  --test true|false            whether to test the estimator; false leaves the test set to later runs
  --features LIST              steps, like "[hog, {{pca: 200}}]": first one of
                               {", ".join(extractor.usage for extractor in EXTRACTORS.values())};
                               then {", ".join(TRANSFORMERS)}, or {{class_path: ...}} of scikit-learn
  --estimator CLASS            a classifier of scikit-learn, like sklearn.svm.SVC
  --estimator.ARGUMENT VALUE   one of its arguments
  --blend "[RUN, RUN]"         in place of an estimator: soft voting of finished runs
  --data.root DIR   --data.val_size {DEFAULTS["data"]["val_size"]}   --data.train_size N   --data.split_seed 0
  --data.fold N                validate on fold N, counted from 0, of val_size images each
  --data.copies N              also fit on N augmented copies of the training images
  --data.augmentation.NAME VALUE   how they are augmented: the flags of train.py, like shift 1 or flip true
  --print_config               print the resolved configuration and stop
"""


@dataclass(frozen=True)
class Config:
    """A resolved configuration; ``config.yaml`` holds it. ``HELP`` describes the keys.

    Either ``estimator`` (``class_path`` and ``init_args``) or ``blend`` is None; ``data`` are arguments of
    the data module, and ``copies``.
    """

    name: str
    logs: str
    seed_everything: int
    engine: Engine
    test: bool
    features: list[Any]
    estimator: dict[str, Any] | None
    blend: list[str] | None
    data: dict[str, Any]

    def dump(self) -> str:
        """Return the YAML that ``--config`` takes to run again."""
        unused = ("estimator", "features") if self.blend else ("blend",)
        content = {key: value for key, value in asdict(self).items() if key not in unused}
        return yaml.safe_dump(content, sort_keys=False)


def configure(args: Sequence[str] | None) -> Config:
    """Parse the command line; ``None`` takes the process's arguments.

    Raises:
        InputError: A file, a key or a value is wrong.
    """
    parser = argparse.ArgumentParser(
        prog=shell_command("baseline"),
        usage="%(prog)s --config FILE [--KEY VALUE ...]",
        description="Fit a classifier of scikit-learn, as one YAML describes it, and write a run folder.",
        epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False, exit_on_error=False,
    )  # fmt: skip
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        type=shipped_path,
        metavar="FILE",
        help="YAML; of several, later ones win",
    )
    try:
        known, rest = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        raise InputError(f"{error.argument_name}: {error.message}") from None
    merged = copy.deepcopy(DEFAULTS)
    for path in known.config:
        _update(merged, with_numbers(read_yaml(path, "estimator")), f"--config {path}: ")
    for key, value in _parse_flags(rest):
        _update(merged, _nested(key, value), "--")
    return _check(merged)


def _parse_flags(args: list[str]) -> list[tuple[str, Any]]:
    """Return key and value of ``--key value`` and ``--key=value``: names and folders as text, else YAML."""
    pairs = []
    remaining = iter(args)
    for argument in remaining:
        flag, equals, text = argument.partition("=")
        if not flag.startswith("--"):
            raise InputError(f"{flag}: no such flag (--help lists them)")
        value = text if equals else next(remaining, None)
        if value is None:
            raise InputError(f"{flag}: expected one argument")
        if flag[2:] in ("name", "logs", "data.root"):
            pairs.append((flag[2:], value))
            continue
        try:
            pairs.append((flag[2:], with_numbers(as_written(yaml.safe_load(value)))))
        except yaml.YAMLError:
            raise InputError(f"{flag} {value}: is no YAML") from None
    return pairs


def _nested(key: str, value: Any) -> dict[str, Any]:
    """Return ``{"data": {"val_size": 0}}`` for ``data.val_size`` and 0."""
    first, *rest = key.split(".")
    if first == "estimator" and rest and rest[0] not in ("class_path", "init_args"):
        rest.insert(0, "init_args")
    for name in reversed(rest):
        value = {name: value}
    return {first: value}


def _update(config: dict[str, Any], content: dict[str, Any], where: str) -> None:
    """Merge the keys of a file or flag into a configuration; an unknown key raises an ``InputError``."""
    for key, value in content.items():
        if key not in DEFAULTS:
            raise InputError(f"{where}{key}: no such key{_hint(str(key), [*DEFAULTS, 'config'], where)}")
        if key == "data":
            if not isinstance(value, dict):
                raise InputError(f"{where}data {value!r:.40}: must hold keys by name, like val_size")
            for name in value:
                if name not in DEFAULTS["data"]:
                    close = _hint(f"data.{name}", [f"data.{known}" for known in DEFAULTS["data"]], where)
                    raise InputError(f"{where}data.{name}: no such key{close}")
        if key == "estimator" and isinstance(value, str):
            value = {"class_path": value}
        config[key] = _merged(config[key], value)


def _merged(old: Any, new: Any) -> Any:
    """Merge one mapping into another; another class does not inherit the arguments of the old one."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    if "class_path" in new and new["class_path"] != old.get("class_path"):
        return new
    return old | {key: _merged(old.get(key), value) for key, value in new.items()}


def _hint(key: str, known: list[str], where: str) -> str:
    close = difflib.get_close_matches(key, known, n=1) or [name for name in known if name.startswith(key)]
    return f"; did you mean {where if where == '--' else ''}{close[0]}?" if close else " (--help lists them)"


def _check(config: dict[str, Any]) -> Config:
    """Refuse values of a wrong type; the estimator's arguments are checked when it is built."""
    texts = {"name": config["name"], "logs": config["logs"], "data.root": config["data"]["root"]}
    for flag, value in texts.items():
        if value is None:
            raise InputError(f"--{flag} null: a value is needed")
    check_name(str(config["name"]))
    if config["engine"] not in ENGINES:
        raise InputError(f"--engine {config['engine']}: must be one of {', '.join(ENGINES)}")
    if not isinstance(config["test"], bool):
        raise InputError(f"--test {config['test']}: must be true or false")
    for flag, low in {
        "seed_everything": 0,
        "data.val_size": 0,
        "data.split_seed": 0,
        "data.fold": 0,
        "data.train_size": 1,
        "data.copies": 0,
    }.items():
        group, _, name = flag.rpartition(".")
        value = config[group][name] if group else config[name]
        if value is None and name == "train_size":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise InputError(f"--{flag} {value}: must be a whole number, {low} or more")
    if config["blend"] and config["data"]["copies"]:
        raise InputError(f"--data.copies {config['data']['copies']}: a blend is not fitted to images")
    _check_augmentation(config["data"])
    if config["blend"] and config["features"]:
        raise InputError(f"--features {config['features']}: a blend has none; each run has its own")
    if config["estimator"] and config["blend"]:
        raise InputError("--estimator or --blend: choose one of them")
    if not (config["estimator"] or config["blend"]):
        raise InputError(
            "--estimator or --blend: one of them is required; --config configs/baselines/svm.yaml has one"
        )
    blend = config["blend"]
    if blend and not (
        isinstance(blend, list) and len(blend) > 1 and all(isinstance(run, str) for run in blend)
    ):
        raise InputError(f"--blend {blend}: must list two runs or more, like [logs/cnn, logs/hog-svm]")
    if blend and not config["data"]["val_size"]:
        raise InputError("--data.val_size 0: a blend is weighted by validation images, so it needs some")
    config["data"]["root"] = str(config["data"]["root"])
    return Config(**config | {"name": str(config["name"]), "logs": str(config["logs"])})


def _check_augmentation(data: dict[str, Any]) -> None:
    """Refuse an augmentation without copies, unknown settings, and values out of range."""
    settings = data["augmentation"] or {}
    if data["copies"] and not settings:
        raise InputError(
            f"--data.copies {data['copies']}: needs --data.augmentation, or all copies are alike"
        )
    if not settings:
        return
    from fmnist.data.augmentation import Augmentation

    if not isinstance(settings, dict):
        raise InputError(f"--data.augmentation {settings}: must hold settings by name, like shift")
    kinds = {declared.name: type(declared.default) for declared in fields(Augmentation)}
    for name, value in settings.items():
        flag = f"--data.augmentation.{name}"
        if name not in kinds:
            raise InputError(
                f"{flag}: no such key{_hint(flag[2:], [f'data.augmentation.{k}' for k in kinds], '--')}"
            )
        if kinds[name] is bool and not isinstance(value, bool):
            raise InputError(f"{flag} {value}: must be true or false")
        if kinds[name] is not bool and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{flag} {value}: must be a number")
        if kinds[name] is int and not isinstance(value, int):
            raise InputError(f"{flag} {value}: must be a whole number")
    augmentation = Augmentation(**settings)
    if augmentation.mixup or augmentation.cutmix:
        raise InputError("--data.augmentation: mixup and cutmix make targets that no classifier here takes")
    if not data["copies"]:
        raise InputError("--data.augmentation: augments copies of the training images; add --data.copies 1")

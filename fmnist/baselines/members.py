"""The finished runs that a baseline builds on, for its embedding or blend: find, check and copy them."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from fmnist.baselines.config import Config
from fmnist.baselines.features import EXTRACTORS, first_step
from fmnist.core.errors import InputError, quoted
from fmnist.core.files import link_or_copy
from fmnist.core.runs import NETWORK_FILES, Run
from fmnist.core.splits import keeps_apart


def find_members(config: Config) -> tuple[Config, list[Run]]:
    """Find the runs that a configuration names, and return it with what names them exactly.

    Raises:
        InputError: One is missing, not finished, or of the wrong kind.
    """
    if config.blend:
        members = [_find_member(path, "--blend") for path in config.blend]
        for place, run in enumerate(members):
            if run.path.resolve() in [earlier.path.resolve() for earlier in members[:place]]:
                raise InputError(f"--blend {quoted(config.blend[place])}: is listed twice")
            if run.config.get("blend"):
                raise InputError(
                    f"--blend {quoted(run.path)}: is a blend itself; name the runs of its config.yaml"
                )
        return dataclasses.replace(config, blend=[run.reference for run in members]), members
    name, path = first_step(config.features)
    if name != "embedding":
        return config, []
    EXTRACTORS[name].check(path)
    run = _find_member(path, "--features embedding")
    if run.kind != "lightning":
        raise InputError(f"--features embedding {quoted(path)}: is a {run.kind} run, a network is wanted")
    return dataclasses.replace(config, features=[{"embedding": run.reference}, *config.features[1:]]), [run]


def _find_member(path: str, flag: str) -> Run:
    """Open a finished run: a run folder, or ``logs/<name>`` for its newest finished run."""
    try:
        run = Run.find(path)
    except InputError as error:
        raise InputError(f"{flag} {error}") from None
    if not run.is_scored:
        raise InputError(f"{flag} {quoted(path)}: is {run.state}, and only a finished run will do")
    return run


def check_member(run: Run, flag: str, data_sha256: dict[str, str], split: dict[str, Any]) -> None:
    """Refuse a run, named by ``flag``, that was trained on validation images of this fit, or on other files.

    ``data_sha256`` and ``split`` (``split_seed``, ``fold``, ``train``, ``val``) are those of this fit.

    Raises:
        InputError: It was trained on such images.
    """
    theirs = run.split
    if run.record["data_sha256"] != data_sha256:
        raise InputError(f"{flag} {quoted(run.path)}: was trained on other files than those of --data.root")
    if not keeps_apart(theirs, split):
        raise InputError(
            f"{flag} {quoted(run.path)}: was trained on images that are validation here; make both with the "
            f"same --data.split_seed (there {theirs['split_seed']}), --data.fold (there {theirs['fold']}) "
            f"and --data.val_size (there {theirs['val']})"
        )


def copy_model(run: Run, folder: Path) -> None:
    """Copy a run's configuration and model into a folder, the model by hard links where they are possible.

    The new run then needs no other run's folder.
    """

    def ignored(directory: str, names: list[str]) -> list[str]:
        return [name for name in names if name.endswith(".ckpt") and name != NETWORK_FILES[0].name]

    shutil.copytree(
        run.path / "checkpoints", folder / "checkpoints", ignore=ignored, copy_function=link_or_copy
    )
    shutil.copyfile(run.path / "config.yaml", folder / "config.yaml")

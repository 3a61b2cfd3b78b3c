"""What the settings in a run's ``config.yaml`` mean for its result: which matter, and which cut it short."""

import re
from typing import Any

INCIDENTAL = frozenset(
    (
        *("name", "logs", "resume", "config", "test", "checkpoint_minutes"),
        *("data.root", "data.eval_batch_size"),
        *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
        *("trainer.plugins", "trainer.logger", "trainer.log_every_n_steps"),
        *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.enable_checkpointing"),
        *("trainer.profiler", "trainer.detect_anomaly", "trainer.num_sanity_val_steps"),
        *("trainer.deterministic", "trainer.benchmark", "trainer.inference_mode", "trainer.max_time"),
        *("trainer.enable_autolog_hparams", "trainer.model_registry", "model.init_args.compile"),
    )
)
"""Settings that say where files are, what is shown, which device computes: none changes what is learned, so
they may differ between the seeds of one model, and change when a run is resumed. Only the number of processes
has a small effect: each draws its own dropout."""
INCIDENTAL_CALLBACK = re.compile(r"(ProgressBar|Summary|Monitor|ModelCheckpoint)$")


def settings_of(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of a configuration by dotted name.

    Those that change nothing learned, those that are null, and empty mappings are left out.
    """
    settings: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name in INCIDENTAL:
            continue
        if name == "trainer.callbacks":
            callbacks = value if isinstance(value, list) else [value]
            value = [each for each in callbacks if each and not _only_shows(each)] or None
        if isinstance(value, dict):
            settings |= settings_of(value, f"{name}.")
        elif value is not None:
            settings[name] = value
    return settings


def _only_shows(callback: Any) -> bool:
    path = callback.get("class_path") if isinstance(callback, dict) else callback
    return bool(INCIDENTAL_CALLBACK.search(str(path)))


def shortening_flags(config: dict[str, Any]) -> str:
    """Return the Trainer's flags that keep a run from part of its data, for debugging; empty for none."""
    trainer = config.get("trainer")
    given = trainer.items() if isinstance(trainer, dict) else ()
    return " ".join(f"--trainer.{flag} {value}" for flag, value in given if _shortens(flag, value))


def _shortens(flag: str, value: Any) -> bool:
    if flag in ("limit_train_batches", "limit_val_batches", "limit_test_batches"):
        return value is not None and not (isinstance(value, float) and value == 1)
    return flag in ("fast_dev_run", "overfit_batches") and bool(value)

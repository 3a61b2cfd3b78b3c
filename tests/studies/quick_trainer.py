"""A training in a moment: run folder, checkpoint and SIGTERM are those of train.py, nothing is learned.

The validation accuracy is a function of the flags x, y and kind and of the epoch. An epoch takes as long as
``SECONDS_AN_EPOCH`` says, ``SECOND,SECOND,...``: the last one holds for all that follow, too.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fmnist.core.files import write_file

if TYPE_CHECKING:
    from fmnist.core.runs import Run

EPOCHS = 4
FLAGS = ("config", "name", "logs", "test", "x", "y", "kind", "seed_everything", "fail")


def main() -> None:
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    stop: list[int] = []
    config = {} if "--resume" in flags else read_config(flags)
    if "--print_config" in sys.argv:
        print(yaml.safe_dump(config))
        return
    from fmnist.core.runs import Run  # NumPy, which would be most of the time of the above

    if "--resume" in flags:
        run = Run(flags["--resume"])
        config = run.config
        run.update(status="running", resumed=run.record.get("resumed", 0) + 1)
    else:
        run = Run.create(
            config["logs"], config["name"], kind="lightning", seed=config.get("seed_everything", 0)
        )
        write_file(run.path / "config.yaml", yaml.safe_dump(config))
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    with (run.path.parent / "starts.txt").open("a") as file:  # one write: complete, whoever else writes
        file.write(f"{os.environ.get('FMNIST_STUDY', '{}')}\n")
    train(run, config, stop)


def read_config(flags: dict[str, str]) -> dict[str, Any]:
    config = yaml.safe_load(Path(flags["--config"]).read_text())
    config |= {name[2:]: yaml.safe_load(value) for name, value in flags.items() if name != "--config"}
    for name in flags:
        if name[2:] not in FLAGS:
            sys.exit(f"error: {name}: no such flag")
    return {"data": {"val_size": 100}, "trainer": {"max_epochs": EPOCHS}, "logs": "logs", **config}


def train(run: "Run", config: dict[str, Any], stop: list[int]) -> None:
    last = run.path / "checkpoints" / "last.ckpt"
    history = json.loads(last.read_text()) if last.exists() else []
    seconds = [float(word) for word in os.environ.get("SECONDS_AN_EPOCH", "0.01").split(",")]
    for epoch in range(len(history), EPOCHS):
        wait(seconds[min(epoch, len(seconds) - 1)], stop)
        if config.get("x", 0) > config.get("fail", 2):
            run.finish("failed", RuntimeError("the loss was nan"))
            sys.exit(2)
        history.append(accuracy(config, epoch))
        rows = "".join(f"{number},{value},1.0\n" for number, value in enumerate(history))
        write_file(run.path / "metrics.csv", f"epoch,val/accuracy,train/loss\n{rows}")
        write_file(last, json.dumps(history))
        if stop:
            run.finish("stopped", SystemExit(143))
            sys.exit(143)
    run.finish("finished", metrics={"val": {"accuracy": history[-1]}}, train_seconds=0.1)


def wait(seconds: float, stop: list[int]) -> None:
    """Wait as long as that, or until the signal."""
    end = time.monotonic() + seconds
    while not stop and time.monotonic() < end:
        time.sleep(0.01)


def accuracy(config: dict[str, Any], epoch: int) -> float:
    best = 0.9 - (config.get("x", 0.5) - 0.3) ** 2 - 0.1 * (config.get("kind") == "a") * config.get("y", 1.0)
    return round(best * (1 - 0.5 / (epoch + 1)), 6)


if __name__ == "__main__":
    main()

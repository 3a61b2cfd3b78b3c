"""A SLURM job, for tests that are not in one."""

from pathlib import Path


def one_task(**variables: object) -> dict[str, str]:
    """Return the variables of a job of one task: these, without their prefix, and its numbers."""
    numbers = {"NTASKS": 1, "NTASKS_PER_NODE": 1, "NNODES": 1, "NODEID": 0, "PROCID": 0, "LOCALID": 0}
    return {f"SLURM_{name}": str(value) for name, value in {**variables, **numbers}.items()}


def fake_scontrol(folder: Path, *lines: str) -> Path:
    """Put a ``scontrol`` into ``folder/bin``.

    Args:
        folder: Existing.
        lines: Of a shell script, done first.

    Returns:
        The file that each of its calls adds a line to.
    """
    calls, command = folder / "calls", folder / "bin" / "scontrol"
    command.parent.mkdir(exist_ok=True)
    command.write_text("\n".join(["#!/bin/sh", *lines, f'echo "$@" >> {calls}', ""]))
    command.chmod(0o755)
    return calls

"""What a run is made with: commit, versions and hardware, for its record."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from fmnist import __version__

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "scikit-learn", "captum", "numpy", "scipy")


def environment() -> dict[str, Any]:
    """Return what a run was made with: ``git_commit``, ``versions`` and ``hardware``."""
    versions = {"fmnist": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    hardware = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
    }
    return {"git_commit": _git_commit(), "versions": versions, "hardware": hardware}


def _git_commit() -> str | None:
    """Return the commit of the code that runs, with ``-dirty`` where it was changed since."""
    file, output = Path(__file__), ""
    try:
        for arguments in (
            # an installed copy may lie below the repository of another project
            ["ls-files", "--error-unmatch", file.name],
            ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        ):
            output = subprocess.run(
                ["git", *arguments], cwd=file.parent, capture_output=True, text=True, timeout=10, check=True
            ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return output.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

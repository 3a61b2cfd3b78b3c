"""SLURM's requeue: a job whose time is up asks for its place in the queue again, and goes on when it starts.

Lightning's plugin, ``SLURMEnvironment(auto_requeue, requeue_signal)``, says whether and on which signal,
and who is the main process. Its answer to that signal is replaced, because it cannot be exact: it saves
from within the signal's handler, perhaps between the halves of a step, and then trains on; and it saves to
``hpc_ckpt_<n>.ckpt`` in a folder that all runs share, which Lightning later loads whenever it is given no
checkpoint, in a new run and for the test of the best weights, too.
"""

import os
import subprocess
import sys
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.plugins.environments import SLURMEnvironment


class Requeue:
    """Asks SLURM to queue this job again, once, and from the main process only.

    Args:
        environment: Lightning's plugin.

    Attributes:
        signal: The number of the signal that SLURM sends.
        is_main: Whether this is the process that asks.
        granted: Whether SLURM was asked and agreed.
    """

    def __init__(self, environment: SLURMEnvironment) -> None:
        assert environment.requeue_signal is not None  # only on Windows
        self.signal = int(environment.requeue_signal)
        self.is_main = environment.global_rank() == 0
        self.granted = False
        self._asked = False

    def ask(self) -> None:
        """Call ``scontrol requeue``; what it answers is said."""
        if not self.is_main or self._asked:
            return
        self._asked = True
        command = ["scontrol", "requeue", str(job_id())]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "stderr", None) or error
            print(f"warning: {' '.join(command)}: failed ({str(reason).strip()})", file=sys.stderr)
        else:
            self.granted = True
            print(f"SLURM job {job_id()} is queued again, and then goes on here", file=sys.stderr)


def requeue_is_off(plugins: Any) -> bool:
    """Return whether ``--trainer.plugins``, one or a list, none of them built yet, turns this off."""
    listed = plugins if isinstance(plugins, list) else [plugins]
    return any(
        isinstance(plugin, Namespace) and plugin.get("init_args.auto_requeue") is False for plugin in listed
    )


def requeue_on(environment: Any) -> Requeue | None:
    """Return what to do on SLURM's signal, or nothing without SLURM or if its plugin is told so."""
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return Requeue(environment)
    return None


def job_id() -> str | None:
    """Return the SLURM job of this process as ``scontrol`` names it, ``<array>_<task>`` in an array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID")

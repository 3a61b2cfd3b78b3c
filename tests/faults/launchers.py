"""Processes that others start: torchrun on one node and on two, and SLURM's srun."""

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from fmnist.core.runs import Run
from fmnist.training.checkpoints import LAST
from tests.faults.distributed import GONE, WAITS, launched, members, wait_until_it_waits, whole_of_two
from tests.faults.processes import PATIENCE, PROMPT, last_line
from tests.faults.starts import SLURM
from tests.faults.table import Outcome, Row
from tests.faults.trainings import STEPS, differences, flags, run_of, step_of
from tests.machine import free_port
from tests.training.slurm import fake_scontrol

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def by_torchrun(folder: Path, times: int) -> Outcome:
    wanted = whole_of_two(folder)
    one_node = [*TORCHRUN, "--standalone", "--nproc_per_node", "2", "--"]
    log = folder / "run.log"
    with launched(log, flags(folder, "alike", network=WAITS), 2, one_node) as process:
        assert process.wait(PATIENCE) == 0, _reason(log)
    alike = not differences(Run(run_of(folder, "alike")), wanted)
    (folder / "waits").unlink()

    path = run_of(folder, "stopped")
    with launched(log, flags(folder, "stopped", network=WAITS), 2, one_node) as process:
        wait_until_it_waits(folder, log, process)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while Run(path).record["status"] == "running" and time.monotonic() - start < PROMPT:
            time.sleep(0.1)
        saved = time.monotonic() - start
        while (left := members(log)) and time.monotonic() - start < GONE:
            time.sleep(0.1)
        gone = time.monotonic() - start
    marked, step = Run(path).record["status"], step_of(path / "checkpoints" / LAST)
    with launched(log, ["--resume", str(path)], 2, one_node) as process:
        assert process.wait(PATIENCE) == 0, _reason(log)
    exact = not differences(Run(path), wanted)
    figure = f"{_bits(alike)}; after SIGTERM saved at step {step} of epochs of {STEPS}, marked {marked} in "
    figure += f"{saved:.1f} s, all gone in {gone:.1f} s, {len(left)} left, resumed to {_bits(exact)}"
    return alike and exact and marked == "stopped" and not left and saved < PROMPT, figure


def on_two_nodes(folder: Path, times: int) -> Outcome:
    wanted, port = whole_of_two(folder), str(free_port())
    over_nodes = ["--trainer.num_nodes", "2", "--trainer.strategy", "ddp"]
    command_line = flags(folder, "nodes", *over_nodes, network=WAITS)
    with ExitStack() as stack:
        nodes = []
        for rank in ("0", "1"):
            node = [*TORCHRUN, "--nnodes", "2", "--node_rank", rank, "--nproc_per_node", "1"]
            node += ["--master_addr", "127.0.0.1", "--master_port", port, "--"]
            log = folder / f"node-{rank}.log"
            nodes.append(stack.enter_context(launched(log, command_line, 1, node)))
        statuses = [node.wait(PATIENCE) for node in nodes]
    assert statuses == [0, 0], _reason(folder / "node-0.log")
    runs = Run.all(folder / "logs" / "nodes")
    alike = len(runs) == 1 and not differences(runs[0], wanted)
    return alike, f"{_bits(alike)} as 2 processes on 1 node, {len(runs)} run folder"


def requeued_by_slurm(folder: Path, times: int) -> Outcome:
    wanted, calls = whole_of_two(folder), fake_scontrol(folder)
    statuses = [_as_slurm_job(folder, signalled) for signalled in (True, False)]
    runs, asked = Run.all(folder / "logs" / "job"), calls.read_text().splitlines()
    alike = len(runs) == 1 and not differences(runs[0], wanted)
    figure = f"exit {statuses[0]}, scontrol called {len(asked)} time ({asked[0]}), {len(runs)} run folder, "
    figure += f"then exit {statuses[1]} with {_bits(alike)}"
    return alike and asked == ["requeue 1"] and statuses == [[143, 143], [0, 0]], figure


def _as_slurm_job(folder: Path, signalled: bool) -> list[int]:
    """Run the tasks of a job, signalled or started again, and return their exit statuses."""
    (folder / "waits").unlink(missing_ok=True)
    variables = SLURM | {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "MASTER_PORT": str(free_port())}
    variables |= {"MASTER_ADDR": "127.0.0.1", "PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
    variables |= {} if signalled else {"SLURM_RESTART_COUNT": "1"}
    with ExitStack() as stack:
        tasks = []
        for rank in ("0", "1"):
            of_task = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}
            log, words = folder / f"task-{rank}.log", flags(folder, "job", network=WAITS)
            tasks.append(stack.enter_context(launched(log, words, 2, **variables | of_task)))
        if signalled:
            wait_until_it_waits(folder, folder / "task-0.log", tasks[0])
            for task in tasks:  # as SLURM does, to all of them
                task.send_signal(signal.SIGUSR1)
        return [task.wait(PATIENCE) for task in tasks]


def _reason(log: Path) -> str:
    """Return the first line that tells of an error; torchrun prints much after it."""
    return next((line for line in log.read_text().splitlines() if "rror" in line), last_line(log))


def _bits(alike: bool) -> str:
    return "the same bits" if alike else "OTHER BITS"


ROWS = (
    Row(
        "torchrun",
        "torchrun starts 2 processes; SIGTERM to it",
        "as without it; saved within 10 s, nothing left of torchrun either, resumed to the same bits",
        by_torchrun,
        seconds=900,
    ),
    Row("two-nodes", "torchrun on 2 nodes of 1 process", "as 2 processes on 1", on_two_nodes, seconds=600),
    Row(
        "slurm-ddp",
        "SIGUSR1 to both tasks of a SLURM job, which is then started again",
        "queued again once, goes on in the same folder to the same bits",
        requeued_by_slurm,
        seconds=600,
    ),
)

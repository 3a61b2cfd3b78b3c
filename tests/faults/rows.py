"""The rows of the table."""

from tests.faults import disks, distributed, files, kills, launchers, starts, values

ROWS = (
    *kills.ROWS,
    *disks.ROWS,
    *files.ROWS,
    *values.ROWS,
    *distributed.ROWS,
    *launchers.ROWS,
    *starts.ROWS,
)

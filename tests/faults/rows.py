"""The rows of the table."""

from tests.faults import disks, distributed, files, kills, starts, values

ROWS = (*kills.ROWS, *disks.ROWS, *files.ROWS, *values.ROWS, *distributed.ROWS, *starts.ROWS)

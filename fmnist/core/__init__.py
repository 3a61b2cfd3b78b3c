"""What every other part of the package may use: constants, errors, files, statistics, tables, run folders."""

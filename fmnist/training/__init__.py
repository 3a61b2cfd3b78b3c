"""Training of networks: the command line, its callbacks and what it logs."""

"""Measures how fast loader, networks and training are on this machine, beside what people use.

``--help`` needs the titles and must not wait for PyTorch, so they are here.
"""

TITLES = {
    "loader": "Loader: augmented batches of 250 images",
    "step": "Training step, AdamW",
    "epoch": "An epoch with validation",
    "evaluation": "10,000 test images",
    "start": "From the start of the process",
    "memory": "Peak memory of a training",
    "growth": "Growth of a training, by train.py",
}
"""By the name of a part, which is that of its function in ``fmnist.benchmark.parts``."""

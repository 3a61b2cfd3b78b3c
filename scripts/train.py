"""Train a network on Fashion-MNIST, for example with ``--config configs/cnn.yaml``."""

from fmnist.training.train import main

if __name__ == "__main__":
    main()

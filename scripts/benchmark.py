"""Measure the loader, the training step of every network and Lightning's overhead on this machine."""

import argparse

from fmnist.core.errors import exits_cleanly


@exits_cleanly
def main(args: list[str] | None = None) -> None:
    """Print the measurements that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="data", help="folder of the data")
    parser.add_argument(
        "--compile", action="store_true", help="measure compiled networks too (needs a C++ compiler)"
    )
    parser.add_argument("--only", choices=["loader", "step", "overhead"], help="measure one part")
    options = parser.parse_args(args)

    import torch

    from fmnist.models.cnn import CNN, LitCNN
    from fmnist.models.lenet5 import LeNet5
    from fmnist.models.mlp import MLP, LitMLP
    from fmnist.models.resnet import ResNet
    from fmnist.training import benchmark
    from fmnist.training.precision import choose_precision

    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision, reason = choose_precision(device)
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads; {precision}: {reason}\n")
    if options.only in (None, "loader"):
        speeds = benchmark.loader_speeds(options.root)
        for name, speed in speeds.items():
            print(f"{name:28} {speed:10,.0f} images/s   {speeds['fmnist'] / speed:6.1f} x")
    if options.only in (None, "step"):
        networks = {"MLP": MLP, "LeNet-5": LeNet5, "CNN": CNN, "ResNet-20": ResNet}
        print(f"\n{'training step, batch 256':28} {'float32':>10} {'bfloat16':>10}   images/s")
        for name, build in networks.items():
            figures = [benchmark.step_speed(build(), device, bf16) for bf16 in (False, True)]
            print(f"{name:28} " + " ".join(f"{figure:10,.0f}" for figure in figures))
            if options.compile:
                figures = [
                    benchmark.step_speed(build(), device, bf16, compile=True) for bf16 in (False, True)
                ]
                print(f"{name + ', compiled':28} " + " ".join(f"{figure:10,.0f}" for figure in figures))
    if options.only in (None, "overhead"):
        ways = ("bare loop", "barebones", "Lightning")
        print(f"\n{'epoch on the CPU, batch 256':28}" + "".join(f" {way:>18}" for way in ways))
        precision, _ = choose_precision("cpu")
        for name, build_model, size in (("MLP", LitMLP, 60_000), ("CNN", LitCNN, 10_000)):
            seconds = benchmark.lightning_overhead(build_model, options.root, precision, size)
            row = f"{name}, {size:,} images"
            cells = (f" {seconds[way]:8.2f} s x {seconds[way] / seconds['bare loop']:.3f}" for way in ways)
            print(f"{row:28}" + "".join(cells))


if __name__ == "__main__":
    main()

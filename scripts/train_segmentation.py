"""Train the network that cuts garments out of photographs, on rendered scenes, and write its weights."""

from collections.abc import Sequence

from fmnist.core.commands import command_parser
from fmnist.core.errors import exits_cleanly, quoted

CHECKED = 500  # scenes of validation images, at most

EPILOG = """\
Silhouettes of training images get other cloth and are put before drawn sheets, floors, carpets and walls; no
photograph is used. The default repeats the weights of the package, which everything that prepares pictures
uses; it takes about an hour on two cores and 1.5 GB of memory.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    parser = command_parser("train_segmentation", __doc__, EPILOG)
    steps = "training steps of 32 scenes (default: %(default)s)"
    output = "file of the weights (default: %(default)s)"
    add = parser.add_argument
    add("--scenes", type=int, default=20_000, metavar="N", help="scenes to render (default: %(default)s)")
    add("--steps", type=int, default=7_000, metavar="N", help=steps)
    add("--seed", type=int, default=1, help="seed of scenes and weights (default: %(default)s)")
    add("--output", default="segmentation.npz", metavar="FILE", help=output)
    val_size = "training images kept for checking (default: %(default)s)"
    add("--data.val_size", dest="val_size", type=int, default=5000, metavar="N", help=val_size)
    options = parser.parse_args(args)
    for flag, value, lowest, highest in (
        ("--scenes", options.scenes, 1, 1_000_000),
        ("--steps", options.steps, 1, None),
        ("--seed", options.seed, 0, 2**32 - 2),
        ("--data.val_size", options.val_size, 1, None),
    ):
        if value < lowest:
            parser.error(f"{flag} {value}: must be at least {lowest}")
        if highest is not None and value > highest:
            parser.error(f"{flag} {value}: must be at most {highest:,}")

    from pathlib import Path

    from fmnist.core.errors import reports_unwritable
    from fmnist.core.files import check_output, write_arrays
    from fmnist.data.arrays import images_of
    from fmnist.data.datamodule import FashionMNISTDataModule
    from fmnist.segmentation.network import export_weights
    from fmnist.segmentation.scenes import Scenes
    from fmnist.segmentation.training import intersection_over_union, render_scenes, train

    check_output(f"--output {quoted(options.output)}", Path(options.output), (".npz",))  # before the work
    data = FashionMNISTDataModule(options.root, val_size=options.val_size)
    images = images_of(data, "train")
    scenes = render_scenes(Scenes(images.images, images.labels, options.seed), options.scenes)
    network = train(scenes, options.steps, options.seed)
    with reports_unwritable(f"--output {quoted(options.output)}"):
        write_arrays(Path(options.output), export_weights(network))
    unseen = images_of(data, "val")
    checked = render_scenes(
        Scenes(unseen.images, unseen.labels, options.seed + 1), min(CHECKED, options.scenes)
    )
    iou = intersection_over_union(network, checked)
    found = f"intersection over union {iou:.3f} on {len(checked)} scenes of validation images"
    print(f"{found}; {quoted(options.output)}")


if __name__ == "__main__":
    main()

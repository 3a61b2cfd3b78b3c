"""A small drawn data set in place of Fashion-MNIST: ten learnable garments, in files of the same format."""

import gzip
import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fmnist.core.constants import CLASSES, IMAGE_SIZE
from fmnist.data.source import SUMS

SCALE = 8  # template pixels per image pixel
TEMPLATE_SIZE = IMAGE_SIZE * SCALE
BODY, DARK, LIGHT = 190, 110, 240  # grey levels of cloth, seams and highlights

Shape = tuple[int, Sequence[tuple[float, float]]]
# Each garment is drawn as (grey level, polygon) in order, coordinates x, y in pixels of a 28 x 28 image.
TORSO: Shape = (BODY, [(9, 4), (12, 3), (14, 5), (16, 3), (19, 4), (19, 25), (9, 25)])
LONG_SLEEVES: list[Shape] = [
    (BODY - 25, [(9, 4), (5, 8), (3, 23), (6, 24), (9, 12)]),
    (BODY - 25, [(19, 4), (23, 8), (25, 23), (22, 24), (19, 12)]),
]
GARMENTS: tuple[Sequence[Shape], ...] = (
    [
        (BODY - 25, [(9, 4), (3, 9), (5, 13), (9, 10)]),
        (BODY - 25, [(19, 4), (25, 9), (23, 13), (19, 10)]),
        TORSO,
    ],
    [
        (BODY, [(9, 2), (19, 2), (21, 26), (16, 26), (14, 9), (12, 26), (7, 26)]),
        (DARK, [(9, 2), (19, 2), (19, 3.5), (9, 3.5)]),
    ],
    [
        *LONG_SLEEVES,
        TORSO,
        *[(DARK + 40, [(9, y), (19, y), (19, y + 1.2), (9, y + 1.2)]) for y in (9, 13, 17, 21)],
    ],
    [(BODY, [(11, 2), (12.5, 2), (14, 5), (15.5, 2), (17, 2), (16.5, 10), (21, 26), (7, 26), (11.5, 10)])],
    [
        *LONG_SLEEVES,
        (BODY, [(8, 4), (12, 2), (16, 2), (20, 4), (21, 27), (7, 27)]),
        (0, [(12, 2), (16, 2), (14, 10)]),
        (0, [(13.5, 9), (14.5, 9), (15, 27), (13, 27)]),
    ],
    [
        (BODY, [(2, 19), (12, 20), (25, 11), (26, 13), (26, 20), (24, 20), (23, 16), (14, 22), (2, 21)]),
        (LIGHT, [(5, 19), (8, 13), (10, 13), (8, 19)]),
        (LIGHT, [(16, 17), (15, 9), (17, 8), (19, 16)]),
    ],
    [
        *LONG_SLEEVES,
        TORSO,
        (LIGHT, [(11, 2), (14, 6), (17, 2), (18, 5), (14, 9), (10, 5)]),
        (DARK, [(13.6, 8), (14.4, 8), (14.4, 25), (13.6, 25)]),
    ],
    [
        (BODY, [(2, 17), (9, 14), (15, 9), (19, 12), (25, 9), (26, 18), (2, 20)]),
        (LIGHT, [(1, 19), (27, 18), (27, 21), (1, 21)]),
        (DARK, [(9, 15), (15, 11), (16, 12), (10, 16)]),
    ],
    [
        (BODY - 40, [(8, 11), (9, 4), (19, 4), (20, 11), (18, 11), (17, 6), (11, 6), (10, 11)]),
        (BODY, [(3, 10), (25, 10), (26, 25), (2, 25)]),
        (DARK, [(3, 14), (25, 14), (25, 15.2), (3, 15.2)]),
    ],
    [
        (BODY, [(12, 2), (24, 2), (24, 23), (2, 23), (2, 19), (11, 15)]),
        (DARK, [(1, 23), (16, 23), (16, 24.2), (1, 24.2)]),
        (DARK, [(17, 23), (24, 23), (24, 26), (19, 26)]),
    ],
)
"""Drawings in the order of the classes."""


def write_synthetic(root: str | Path, train_size: int = 2000, test_size: int = 400, seed: int = 0) -> Path:
    """Draw a data set and write it as the four gzip idx files, with the sums they are verified against.

    Args:
        root: Folder to write into; created.
        train_size: Number of training images; the labels are balanced.
        test_size: Number of test images.
        seed: The same seed gives the same bytes.

    Returns:
        ``root``.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    sums = []
    for part, size, stream in (("train", train_size, 0), ("t10k", test_size, 1)):
        generator = np.random.default_rng([seed, stream])
        labels = generator.permutation(np.arange(size) % len(GARMENTS)).astype(np.uint8)
        images = draw(labels, generator)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            data = (
                bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
            )
            (root / f"{name}.gz").write_bytes(gzip.compress(data, compresslevel=1, mtime=0))
            sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (root / SUMS).write_text("".join(sums))
    return root


def draw(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw one garment per label, each of its own size, place, brightness and texture.

    Args:
        labels: Integers (N,) in 0..9.
        generator: Source of all randomness.

    Returns:
        uint8 (N, 28, 28), on black.
    """
    size = len(labels)
    templates = np.stack([_template(shapes) for shapes in GARMENTS])
    scale = generator.uniform(0.75, 1.1, (size, 2, 1)).astype(np.float32)  # height, width
    place = generator.uniform(-2, 2, (size, 2, 1)).astype(np.float32)
    centred = np.arange(IMAGE_SIZE, dtype=np.float32) - (IMAGE_SIZE - 1) / 2
    y, x = ((centred - place) / scale + IMAGE_SIZE / 2).transpose(1, 0, 2)  # (N, 28) each, in image pixels
    shear = generator.uniform(-0.12, 0.12, (size, 1, 1)).astype(np.float32)
    x = x[:, None, :] + shear * (y[:, :, None] - IMAGE_SIZE / 2)  # (N, 28, 28)
    rows = np.clip(y * SCALE, 0, TEMPLATE_SIZE - 1).astype(np.intp)[:, :, None]
    columns = np.clip(x * SCALE, 0, TEMPLATE_SIZE - 1).astype(np.intp)
    images = templates[labels[:, None, None], rows, columns]
    brightness = generator.uniform(0.45, 1.0, (size, 1, 1)).astype(np.float32)
    texture = 1 + 0.12 * generator.standard_normal(images.shape, dtype=np.float32)
    return np.clip(images * brightness * texture, 0, 255).astype(np.uint8)


def _template(shapes: Sequence[Shape]) -> np.ndarray:
    """Return a garment as float32 (TEMPLATE_SIZE, TEMPLATE_SIZE), smoothed over one image pixel."""
    picture = Image.new("L", (TEMPLATE_SIZE, TEMPLATE_SIZE))
    pen = ImageDraw.Draw(picture)
    for grey, polygon in shapes:
        pen.polygon([(x * SCALE, y * SCALE) for x, y in polygon], fill=grey)
    array = np.asarray(picture, dtype=np.float32)
    kernel = np.ones(SCALE, dtype=np.float32) / SCALE
    for axis in (0, 1):
        array = np.apply_along_axis(np.convolve, axis, array, kernel, mode="same")
    array[[0, -1]] = array[:, [0, -1]] = 0  # whatever is sampled beyond the edge is background
    return array


def write_photographs(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """Draw labelled photographs: images of the data set, which the preparation leaves as they are.

    Args:
        folder: Folder to write into; created.
        counts: Number of pictures in each subfolder; one that is named as a class shows that class, any
            other all classes in turn.
        seed: The same seed gives the same pictures.

    Returns:
        ``folder``.
    """
    generator = np.random.default_rng([seed, 2])
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        labels = np.arange(count) % len(CLASSES)
        if name in CLASSES:
            labels[:] = CLASSES.index(name)
        for number, image in enumerate(draw(labels, generator)):
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return folder

"""Drawn pictures to begin with, so that none has to be shipped or downloaded."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 320
FINE = 3  # drawn this many times as large, so that edges are smooth
Shape = list[tuple[float, float]]

GARMENTS: dict[str, tuple[str, str, list[Shape]]] = {
    "T-shirt": ("#e9e4da", "#27496d", [[
        (.36, .14), (.43, .18), (.5, .19), (.57, .18), (.64, .14), (.88, .28), (.8, .46), (.71, .41),
        (.71, .88), (.29, .88), (.29, .41), (.2, .46), (.12, .28),
    ]]),
    "Trousers": ("#d9dee3", "#3c3f46", [[
        (.34, .07), (.66, .07), (.7, .94), (.56, .94), (.5, .34), (.44, .94), (.3, .94),
    ]]),
    "Dress": ("#f2efe9", "#8d2f45", [[
        (.38, .07), (.42, .07), (.45, .2), (.55, .2), (.58, .07), (.62, .07), (.63, .32), (.6, .44),
        (.74, .93), (.26, .93), (.4, .44), (.37, .32),
    ]]),
    "Ankle boot": ("#e3e6dd", "#4b3425", [[
        (.64, .16), (.33, .16), (.34, .46), (.27, .55), (.12, .62), (.07, .69), (.07, .86), (.6, .86),
        (.62, .81), (.66, .81), (.66, .9), (.88, .9), (.88, .7), (.7, .62), (.64, .46),
    ]]),
    "Bag": ("#dfe5ea", "#6b4a2b", [
        [(.12, .42), (.88, .42), (.92, .88), (.08, .88)],
        [(.3, .42), (.33, .2), (.42, .12), (.58, .12), (.67, .2), (.7, .42), (.65, .42), (.62, .23),
         (.56, .18), (.44, .18), (.38, .23), (.35, .42)],
    ]),
    "A mug": ("#efe7dc", "#2f6f62", [
        [(.2, .2), (.66, .2), (.66, .84), (.2, .84)],
        [(.66, .32), (.86, .32), (.86, .7), (.66, .7), (.66, .6), (.77, .6), (.77, .42), (.66, .42)],
    ]),
}  # fmt: skip
"""By name: the colours of background and cloth, and outlines, whose points are shares of the side."""


def draw(name: str) -> np.ndarray:
    """Draw an example, uint8 (SIDE, SIDE, 3): cloth on a sheet, with a soft shadow and uneven light."""
    sheet, cloth, shapes = GARMENTS[name]
    large = SIDE * FINE
    cover = Image.new("L", (large, large))
    for shape in shapes:
        ImageDraw.Draw(cover).polygon([(large * x, large * y) for x, y in shape], fill=255)
    cover = cover.resize((SIDE, SIDE), Image.Resampling.BOX)
    picture = Image.new("RGB", (SIDE, SIDE), sheet)
    shadow = cover.filter(ImageFilter.GaussianBlur(5)).point(lambda level: level // 8)
    picture.paste("black", (2, 4), shadow)
    picture.paste(cloth, (0, 0), cover)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    folds = 0.05 * np.sin(14 * x + 5 * y) * (np.asarray(cover) / 255)
    light = 1.02 - 0.08 * y + folds
    return np.clip(np.asarray(picture) * light[..., None], 0, 255).astype(np.uint8)

"""Every format and mode upright and in 8 bits; every damaged file refused in one line."""

import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.pictures.decoding import MAX_PIXELS, read_picture

ROWS, COLUMNS = 40, 30
RAMP = np.tile(
    np.linspace(0, 255, ROWS).round().astype(np.uint8)[:, None], COLUMNS
)  # black above, white below
COLOURS = np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 100)], axis=2)


def saved(path: Path, picture: np.ndarray | Image.Image, **options: object) -> Path:
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.save(path, **options)
    return path


def header_of_png(path: Path, width: int, height: int) -> Path:
    """Write a PNG file of a megabyte whose header promises a size, as small files of large pictures do."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 0)
    start = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(start + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_picture(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "gif"])
def test_formats_without_loss_come_through_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    colours = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    colours[:20] = (200, 30, 90)
    path = saved(tmp_path / f"a.{suffix}", colours, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_picture(path), colours)


def test_jpeg(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / "a.jpg", COLOURS, quality=95)).astype(int)
    assert np.abs(picture - COLOURS).mean() < 3


def test_grey_stays_grey(tmp_path: Path) -> None:
    assert np.array_equal(read_picture(saved(tmp_path / "a.png", RAMP)), RAMP)
    bits = Image.fromarray(RAMP).convert("1", dither=Image.Dither.NONE)
    assert np.array_equal(read_picture(saved(tmp_path / "b.png", bits)), (RAMP >= 128) * np.uint8(255))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled_not_clipped_to_white(tmp_path: Path, suffix: str, byte_order: str) -> None:
    levels = RAMP.astype(byte_order) * np.uint16(256) + np.uint16(128)  # the low byte says nothing
    levels = levels.astype(byte_order)
    image = Image.frombytes("I;16B" if byte_order == ">u2" else "I;16", (COLUMNS, ROWS), levels.tobytes())
    assert np.array_equal(read_picture(saved(tmp_path / f"a.{suffix}", image)), RAMP)


@pytest.mark.parametrize(
    ("factor", "kind"), [(1, np.int32), (257, np.int32), (1 / 255, np.float32), (1, np.float32)]
)
def test_deeper_levels_are_scaled_to_the_white_they_fit(tmp_path: Path, factor: float, kind: type) -> None:
    path = saved(tmp_path / "a.tiff", (RAMP.astype(np.float64) * factor).astype(kind))
    assert np.array_equal(read_picture(path), RAMP)


def test_levels_that_fit_no_white_are_stretched(tmp_path: Path) -> None:
    assert np.array_equal(
        read_picture(saved(tmp_path / "a.tiff", RAMP.astype(np.float32) * 1000 - 70_000)), RAMP
    )
    broken = RAMP.astype(np.float32)
    broken[3, 3] = np.nan
    assert "no numbers" in refusal(saved(tmp_path / "b.tiff", broken))


def test_palettes(tmp_path: Path) -> None:
    indices = Image.fromarray((RAMP > 127).astype(np.uint8))
    indices.putpalette([10, 20, 30, 200, 100, 0])
    expected = np.where(RAMP[..., None] > 127, (200, 100, 0), (10, 20, 30))
    assert np.array_equal(read_picture(saved(tmp_path / "a.png", indices)), expected)
    clear = read_picture(saved(tmp_path / "b.png", indices, transparency=0))
    assert np.array_equal(clear[..., 3], np.where(RAMP > 127, 255, 0))
    assert np.array_equal(clear[-1, 0, :3], (200, 100, 0))


def test_transparency_is_kept(tmp_path: Path) -> None:
    grey = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1].copy())])
    picture = read_picture(saved(tmp_path / "a.png", grey))
    assert np.array_equal(picture, np.stack([RAMP, RAMP, RAMP, RAMP[::-1]], axis=2))


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk_is_not_inverted(tmp_path: Path, suffix: str) -> None:
    picture = read_picture(saved(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS).convert("CMYK")))
    assert np.abs(picture.astype(int) - COLOURS).mean() < 4


@pytest.mark.parametrize(("suffix", "orientation"), [("jpg", 3), ("jpg", 6), ("png", 8), ("tiff", 6)])
def test_the_picture_is_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    turns = {3: 2, 6: 1, 8: 3}[orientation]  # quarter turns to the left that the camera was off
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(saved(tmp_path / f"a.{suffix}", np.rot90(RAMP, turns).copy(), exif=exif))
    assert np.abs(picture.astype(int) - RAMP).mean() < 3


def test_damaged_exif_data_hide_no_picture(tmp_path: Path) -> None:
    assert read_picture(saved(tmp_path / "a.jpg", RAMP, exif=b"Exif\0\0nonsense")).shape == RAMP.shape


def test_of_an_animation_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    Image.fromarray(RAMP).save(path, save_all=True, append_images=[Image.fromarray(RAMP[::-1].copy())])
    assert np.array_equal(read_picture(path)[..., 0], RAMP)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_large_pictures_come_reduced(tmp_path: Path, suffix: str) -> None:
    large = np.kron(COLOURS, np.ones((60, 60, 1), np.uint8))
    picture = read_picture(saved(tmp_path / f"a.{suffix}", large))
    assert picture.shape[1] in range(400, 800)
    assert picture.shape[0] / picture.shape[1] == pytest.approx(ROWS / COLUMNS, rel=0.01)
    assert np.abs(picture.mean((0, 1)) - COLOURS.mean((0, 1))).max() < 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is damaged" in refusal(path)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "is empty (0 bytes)"), (b"no picture\n" * 50, "is no PNG, JPEG")]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert reason in refusal(path)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    assert "is no PNG, JPEG" in refusal(saved(tmp_path / "a.png", RAMP, format="PPM"))


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (1, 1, "1 x 1 pixels, and no side may be shorter than 8"),
        (20_000, 1, "20,000 x 1 pixels, and no side may be shorter"),
        (8_000, 10, "8,000 x 10 pixels, and no side may be more than 20 times the other"),
        (8_001, 8_000, f"8,001 x 8,000 pixels, more than {MAX_PIXELS:,}"),
        (10_000, 10_000, f"10,000 x 10,000 pixels, more than {MAX_PIXELS:,}"),
        (30_000, 30_000, f"more than {MAX_PIXELS:,} pixels"),
    ],
)
def test_sizes_are_judged_from_the_header(tmp_path: Path, width: int, height: int, reason: str) -> None:
    path = header_of_png(tmp_path / "a.png", width, height)
    started = time.process_time()
    assert reason in refusal(path)
    assert time.process_time() - started < 1


def test_links_folders_and_pipes(tmp_path: Path) -> None:
    loop, pipe = tmp_path / "loop.png", tmp_path / "pipe.png"
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    assert "symbolic links" in refusal(loop)
    assert refusal(pipe) == "is no regular file"
    assert "No such file" in refusal(tmp_path / "missing.png")
    assert refusal(tmp_path) == "is a folder without pictures"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", RAMP)
    path.chmod(0)
    assert "Permission denied" in refusal(path)


def test_names_of_every_kind(tmp_path: Path) -> None:
    assert read_picture(saved(tmp_path / "a coat, größe 38 👕.png", RAMP)).shape == RAMP.shape
    with pytest.raises(InputError) as caught:
        read_picture(tmp_path / "two\nlines.png")
    assert "\n" not in str(caught.value)

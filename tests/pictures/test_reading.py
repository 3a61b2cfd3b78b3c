"""Which files are found; all formats and modes are read upright, in 8 bits; errors are one line."""

import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.pictures import prepare_files
from fmnist.pictures.file_types import FORMATS, OTHERS, READ
from fmnist.pictures.reading import MAX_PIXELS, find_other_files, find_pictures, read_first_page, read_picture

ROWS, COLUMNS = 40, 30
LEVELS = np.linspace(0, 255, ROWS).round().astype(np.uint8)
RAMP = np.tile(LEVELS[:, None], COLUMNS)  # black above, white below
COLOURS = np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 100)], axis=2)
NOT_AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def touch(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def save(path: Path, picture: np.ndarray | Image.Image, **options: object) -> Path:
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.save(path, **options)
    return path


def write_header(path: Path, width: int, height: int) -> Path:
    """Write a small BMP file whose header promises another size."""
    content = bytearray(save(path, COLOURS).read_bytes())
    struct.pack_into("<ii", content, 18, width, height)
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_picture(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_folders_are_searched_in_name_order(tmp_path: Path) -> None:
    pictures = touch(
        tmp_path / "a.PNG", tmp_path / "b" / "2.jpeg", tmp_path / "b" / "3.webp", tmp_path / "c.gif"
    )
    others = touch(tmp_path / "b" / "IMG_0001", tmp_path / "notes.txt")
    touch(tmp_path / ".hidden.png", tmp_path / ".cache" / "d.png", tmp_path / ".DS_Store")
    (tmp_path / "again").symlink_to(tmp_path)
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    assert find_pictures([tmp_path]) == [*pictures, loop]
    assert find_other_files([tmp_path, tmp_path / "b", *pictures]) == others


def test_files_are_found_once_in_the_order_given_whatever_their_names(tmp_path: Path) -> None:
    second, first = touch(tmp_path / "b", tmp_path / "a.png")
    files = [second, tmp_path / "missing.png", first, Path("x" * 5000)]
    assert find_pictures([*files, tmp_path, second]) == files


def test_a_folder_without_pictures_is_returned_itself(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    assert find_pictures([tmp_path]) == [tmp_path]
    assert refusal(tmp_path) == "is a folder without pictures"


@NOT_AS_ROOT
def test_what_may_not_be_read_is_found_and_refused(tmp_path: Path) -> None:
    closed_file = save(tmp_path / "a.png", RAMP)
    closed_file.chmod(0)
    closed_folder = tmp_path / "closed"
    closed_folder.mkdir(mode=0)
    assert find_pictures([tmp_path]) == [closed_file, closed_folder]
    assert "Permission denied" in refusal(closed_file)
    assert "Permission denied" in refusal(closed_folder)


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(s, "RGB") for s in ("png", "bmp", "tiff", "webp", "jpg", "ppm", "jp2", "qoi", "avif")]
    + [("jpg", "CMYK"), ("tiff", "CMYK")],
)
def test_formats_and_modes_keep_the_colours(tmp_path: Path, suffix: str, mode: str) -> None:
    if suffix in ("avif", "jp2") and {"avif": "AVIF", "jp2": "JPEG2000"}[suffix] not in FORMATS:
        pytest.skip("Pillow was built without it")
    image, lossless = Image.fromarray(COLOURS).convert(mode), mode == "RGB" and suffix not in ("jpg", "avif")
    options = {"webp": {"lossless": True}, "jp2": {"num_resolutions": 2}}.get(suffix, {})
    picture = read_picture(save(tmp_path / f"a.{suffix}", image, **options))
    assert np.abs(picture.astype(int) - COLOURS).mean() <= (0 if lossless else 4)


def test_grey_stays_grey(tmp_path: Path) -> None:
    assert np.array_equal(read_picture(save(tmp_path / "a.png", RAMP)), RAMP)
    bits = Image.fromarray(RAMP).convert("1", dither=Image.Dither.NONE)
    assert np.array_equal(read_picture(save(tmp_path / "b.png", bits)), (RAMP >= 128) * np.uint8(255))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled(tmp_path: Path, suffix: str, byte_order: str) -> None:
    levels = (RAMP.astype(np.uint16) * 256 + 128).astype(byte_order)  # the low byte is constant
    image = Image.frombytes("I;16B" if byte_order == ">u2" else "I;16", (COLUMNS, ROWS), levels.tobytes())
    assert np.array_equal(read_picture(save(tmp_path / f"a.{suffix}", image)), RAMP)


@pytest.mark.parametrize(
    ("factor", "offset", "kind"),
    [
        (1, 0, np.int32),
        (257, 0, np.int32),
        (1 / 255, 0, np.float32),
        (1, 0, np.float32),
        (1023 / 255, 0, np.uint16),
        (4095 / 255, 0, np.uint16),
        (16_383 / 255, 0, np.uint16),
        (4095 / 255, 0, np.int32),
        (4095 / 255, 0, np.float32),
        (1.01 / 255, 0, np.float32),  # interpolation exceeded white
        (1000, -70_000, np.float32),  # fits no white level
    ],
)
def test_deeper_levels_are_scaled_by_the_white_that_they_fit(
    tmp_path: Path, factor: float, offset: float, kind: type
) -> None:
    levels = RAMP.astype(np.float64) * factor + offset
    levels = levels.astype(kind) if kind == np.float32 else levels.round().astype(kind)
    assert np.array_equal(read_picture(save(tmp_path / "a.tiff", levels)), RAMP)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("name", ["a.png", "raw.tiff", "lzw.tiff"])
def test_colours_of_sixteen_bits_are_scaled_by_the_white_that_they_fit(
    tmp_path: Path, name: str, bits: int
) -> None:
    cv2 = pytest.importorskip("cv2")  # Pillow does not write such files
    levels = (COLOURS.astype(np.float64) * (2**bits - 1) / 255).round().astype(np.uint16)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1 if name == "raw.tiff" else 5] if name != "a.png" else []
    assert cv2.imwrite(str(tmp_path / name), levels[..., ::-1], options)
    picture = read_picture(tmp_path / name)
    assert np.abs(picture.astype(int) - COLOURS).max() <= (1 if bits == 16 else 0)


@pytest.mark.parametrize("factor", [16, 257])
def test_grey_levels_of_sixteen_bits_with_opacity_are_read(tmp_path: Path, factor: int) -> None:
    levels = np.stack([RAMP.astype(np.uint16) * factor, np.full(RAMP.shape, 65_535)], axis=2).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in levels)  # unfiltered
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", COLUMNS, ROWS, 16, 4, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks.items()
        )
    )
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(picture[..., 0], RAMP.astype(int) * factor // 256)


def test_a_format_that_states_its_white_is_scaled_by_that(tmp_path: Path) -> None:
    dark = (RAMP.astype(np.uint16) * 4).astype(">u2")  # of 4,095
    (tmp_path / "a.pgm").write_bytes(f"P5 {COLUMNS} {ROWS} 4095\n".encode() + dark.tobytes())
    assert read_picture(tmp_path / "a.pgm").max() == round(1020 / 4095 * 255)


def test_levels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    levels = RAMP.astype(np.float32)
    levels[3, 3] = np.nan
    assert "NaN" in refusal(save(tmp_path / "b.tiff", levels))
    assert not read_picture(save(tmp_path / "c.tiff", np.full_like(levels, 70_000))).any()


def test_palettes(tmp_path: Path) -> None:
    indices = Image.fromarray((RAMP > 127).astype(np.uint8))
    indices.putpalette([10, 20, 30, 200, 100, 0])
    expected = np.where(RAMP[..., None] > 127, (200, 100, 0), (10, 20, 30))
    assert np.array_equal(read_picture(save(tmp_path / "a.png", indices)), expected)
    transparent = read_picture(save(tmp_path / "b.png", indices, transparency=0))
    assert np.array_equal(transparent[..., 3], np.where(RAMP > 127, 255, 0))
    assert np.array_equal(transparent[-1, 0, :3], (200, 100, 0))


def test_transparency_is_kept(tmp_path: Path) -> None:
    grey = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1].copy())])
    picture = read_picture(save(tmp_path / "a.png", grey))
    assert np.array_equal(picture, np.stack([RAMP, RAMP, RAMP, RAMP[::-1]], axis=2))


@pytest.mark.parametrize(("suffix", "orientation"), [("jpg", 3), ("jpg", 6), ("png", 8), ("tiff", 6)])
def test_the_picture_is_turned_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    quarter_turns = {3: 2, 6: 1, 8: 3}[orientation]  # of the camera, to the left
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{suffix}", np.rot90(RAMP, quarter_turns).copy(), exif=exif)
    assert np.abs(read_picture(path).astype(int) - RAMP).mean() < 3


def test_a_picture_with_damaged_exif_data_is_read(tmp_path: Path) -> None:
    assert read_picture(save(tmp_path / "a.jpg", RAMP, exif=b"Exif\0\0nonsense")).shape == RAMP.shape


@pytest.mark.parametrize(
    ("suffix", "others", "remark"),
    [
        ("tiff", 2, "first of 3 pages"),
        ("tiff", 0, ""),
        ("gif", 3, "first of 4 frames"),
        ("webp", 1, "first of 2 frames"),
        ("png", 1, "first of 2 frames"),
        ("mpo", 1, ""),  # a phone's second picture
        ("jpg", 0, ""),
    ],
)
def test_the_first_page_is_read_and_other_pages_are_mentioned(
    tmp_path: Path, suffix: str, others: int, remark: str
) -> None:
    pages = [Image.fromarray(np.roll(COLOURS, 9 * (number + 1), 0)) for number in range(others)]
    more = {"save_all": True, "append_images": pages} if pages else {}
    path = save(tmp_path / f"a.{suffix}", COLOURS, **more)
    picture, said = read_first_page(path)
    assert said == remark
    assert np.abs(picture.astype(int) - COLOURS).mean() < 8
    (prepared,) = prepare_files([path])
    assert (remark in prepared.flags) is bool(remark)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_large_pictures_are_reduced(tmp_path: Path, suffix: str) -> None:
    large = np.kron(COLOURS, np.ones((60, 60, 1), np.uint8))
    picture = read_picture(save(tmp_path / f"a.{suffix}", large))
    assert picture.shape[1] in range(400, 800)
    assert picture.shape[0] / picture.shape[1] == pytest.approx(ROWS / COLUMNS, rel=0.01)
    assert np.abs(picture.mean((0, 1)) - COLOURS.mean((0, 1))).max() < 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is damaged" in refusal(path)


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (1, 1, "1 x 1 pixels, and no side may be shorter than 8"),
        (8_000, 10, "8,000 x 10 pixels, and no side may be more than 20 times the other"),
        (8_001, 8_000, f"8,001 x 8,000 pixels, more than {MAX_PIXELS:,}"),
        (30_000, 30_000, f"more than {MAX_PIXELS:,} pixels"),  # refused by Pillow itself
    ],
)
def test_sizes_are_refused_before_decoding(tmp_path: Path, width: int, height: int, reason: str) -> None:
    assert reason in refusal(write_header(tmp_path / "a.bmp", width, height))


def test_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    empty, text, loop, pipe = (tmp_path / f"{name}.png" for name in ("empty", "text", "loop", "pipe"))
    empty.touch()
    text.write_text("no picture\n" * 50)
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    assert refusal(empty) == "is empty (0 bytes)"
    assert "is no PNG, JPEG" in refusal(text)
    assert "is no PNG, JPEG" in refusal(save(tmp_path / "a.png", RAMP, format="SGI"))
    assert "symbolic links" in refusal(loop)
    assert refusal(pipe) == "is no regular file"
    assert "No such file" in refusal(tmp_path / "missing.png")
    assert refusal(tmp_path / "two\nlines.png")


HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
HEIC_REMEDY = "save it as PNG or JPEG" if "HEIF" in READ else "pip install pillow-heif"
CONTENTS = {
    "a.heic": (HEIC_START, HEIC_REMEDY),
    "b.jpg": (HEIC_START, HEIC_REMEDY),  # phones rename them so
    "c.jxl": (b"\xff\x0a" + b"x" * 50, "djxl"),
    "d.svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "rsvg-convert"),
    "e.CR3": (b"\0\0\0\x18ftypcrx ", "camera"),
    "f.psd": (b"8BPS\0\1", "save it as PNG or JPEG"),
    "g.exr": (b"v/1\x01", "save it as PNG or JPEG"),
    "h.ico": (b"\0\0\1\0\1\0", "save it as PNG or JPEG"),
    "i.avif": (b"\0\0\0\x18ftypavif", "save it as PNG or JPEG"),
    "j.tga": (b"\0" * 40, "save it as PNG or JPEG"),
}


def test_every_picture_that_is_not_read_is_found_and_refused_with_a_way_out(tmp_path: Path) -> None:
    for name, (content, _) in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    assert [path.name for path in find_pictures([tmp_path])] == sorted(CONTENTS)
    for name, (_, remedy) in CONTENTS.items():
        assert re.fullmatch(f"is an? .* is not read: .*{remedy}.*", refusal(tmp_path / name)), name


@pytest.mark.skipif("HEIF" not in READ, reason="pillow-heif is not installed")
def test_a_heic_file_is_read_with_the_extra(tmp_path: Path) -> None:
    picture = read_picture(save(tmp_path / "a.heic", COLOURS, format="HEIF", quality=90))
    assert np.abs(picture.astype(int) - COLOURS).mean() < 4


def test_no_ending_is_both_read_and_not_read() -> None:
    endings = " ".join([*READ.values(), *(other.suffixes for other in OTHERS)]).split()
    assert len(endings) == len(set(endings)) + ("HEIF" in READ) * len(READ.get("HEIF", "").split())


def test_the_preview_in_a_raw_file_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    assert "RAW file" in refusal(save(tmp_path / "a.dng", COLOURS, format="TIFF"))


def test_a_picture_is_read_whatever_its_name(tmp_path: Path) -> None:
    assert np.array_equal(read_picture(save(tmp_path / "a.heic", COLOURS, format="PNG")), COLOURS)

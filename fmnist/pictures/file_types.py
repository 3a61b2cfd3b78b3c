"""The formats of picture files: those that are read, and those that are only recognised, with the way out."""

import re
from typing import NamedTuple

from PIL import features

READ = {
    "PNG": ".png .apng",
    "JPEG": ".jpg .jpeg .jpe .jfif .mpo",
    "WEBP": ".webp",
    "BMP": ".bmp .dib",
    "TIFF": ".tif .tiff",
    "GIF": ".gif",
    "AVIF": ".avif .avifs",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "PPM": ".ppm .pgm .pbm .pnm .pfm",
    "QOI": ".qoi",
}
"""Formats that are read, by Pillow's names, and the endings of their files.

Each is recognised by its first bytes, and decoding it starts no other program.
"""
CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}  # which Pillow may have been built without


class OtherType(NamedTuple):
    """A type of picture files that are not read.

    Attributes:
        name: With its article.
        suffixes: Endings of its files.
        start: Regular expression that its first bytes match.
        remedy: What a user can do.
    """

    name: str
    suffixes: str = ""
    start: bytes = rb"(?!)"  # matches nothing
    remedy: str = "save it as PNG or JPEG"


HEIC = OtherType(
    "a HEIC file",
    ".heic .heif .hif .heics .heifs",
    rb".{4}ftyp(hei|hev|mif1|msf1)",
    "pip install pillow-heif, or save it as PNG or JPEG",
)
RAW = OtherType(
    "a RAW file of a camera",
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .raf .orf .rw2 .pef .srw .3fr .iiq .rwl .x3f .raw",
    remedy="save it as PNG or JPEG with the camera's program",
)
OTHERS = (
    HEIC,
    RAW,
    OtherType("a JPEG XL file", ".jxl", rb"\xff\x0a|\0{3}\x0cJXL ", "convert it: djxl FILE.jxl FILE.png"),
    OtherType(
        "an SVG drawing",
        ".svg .svgz",
        rb"\s*<.{,1000}?<svg\b|\s*<svg\b",
        "convert it: rsvg-convert FILE.svg --output FILE.png",
    ),
    OtherType("a Photoshop file", ".psd .psb", rb"8BPS"),
    OtherType("an EPS or Illustrator file", ".eps .ai", rb"%!PS"),
    OtherType("an HDR picture", ".exr .hdr", rb"v/1\x01|#\?RADIANCE"),
    OtherType("an AVIF file that is damaged, or newer than this Pillow,", "", rb".{4}ftypavi"),
    OtherType("a TIFF file that is damaged, or has levels of an unusual type,", "", rb"II[*+]\0|MM\0[*+]"),
    OtherType(
        "a picture of a rare format",
        ".tga .pcx .ico .icns .cur .dds .sgi .xcf .kra .xbm .xpm .wmf .emf .fits .dcm .jxr .wdp .jls .bpg",
        rb"gimp xcf|\0\0[\1\2]\0",
    ),
)
"""Types of pictures that are not read."""

try:
    from pillow_heif import register_heif_opener
except ImportError:
    pass
else:
    register_heif_opener()
    READ["HEIF"] = HEIC.suffixes
    damaged = "a HEIC file that is damaged, or newer than this pillow-heif,"
    OTHERS = (HEIC._replace(name=damaged, remedy="save it as PNG or JPEG"), *OTHERS[1:])

FORMATS = [name for name in READ if CODECS.get(name) in (None, *features.get_supported())]
SUFFIXES = tuple(" ".join([*READ.values(), *(other.suffixes for other in OTHERS)]).split())
"""Endings of the files that are taken from a folder, in lower or upper case: of pictures, read or not."""


def find_other_type(name: str, start: bytes) -> OtherType | None:
    """Return the type of a file that is not read, by its name or else by its first bytes."""
    by_content = (other for other in OTHERS if re.match(other.start, start, re.DOTALL))
    by_name = (other for other in OTHERS if name.lower().endswith(tuple(other.suffixes.split())))
    return next(by_name, None) or next(by_content, None)

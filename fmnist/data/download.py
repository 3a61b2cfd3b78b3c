"""Download the files from a mirror, or from Debian's package, which is unpacked without installing it."""

import http.client
import logging
import shutil
import subprocess
import urllib.request
from pathlib import Path

from tqdm import tqdm

MIRRORS = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)  # those that torchvision uses
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
TIMEOUT = 10  # seconds without a response

logger = logging.getLogger(__name__)


def download(source: str, names: list[str], folder: Path) -> list[Path]:
    """Download files, unverified.

    Args:
        source: URL of the folder that holds the files, or `DEBIAN_PACKAGE`.
        names: File names without ``.gz``.
        folder: Existing folder to write into.

    Returns:
        The gzip files, in the order of their names.

    Raises:
        OSError: The source cannot be reached, or does not have the files.
        ValueError: The URL is invalid.
    """
    return _from_debian(names, folder) if source == DEBIAN_PACKAGE else _from_mirror(source, names, folder)


def _from_mirror(url: str, names: list[str], folder: Path) -> list[Path]:
    paths = [folder / f"{name}.gz" for name in names]
    for path in paths:
        try:
            with (
                urllib.request.urlopen(f"{url.rstrip('/')}/{path.name}", timeout=TIMEOUT) as response,
                tqdm.wrapattr(
                    response, "read", getattr(response, "length", None), desc=path.name, disable=None
                ) as reported,
                path.open("wb") as file,
            ):
                shutil.copyfileobj(reported, file)
        except http.client.HTTPException as error:
            raise OSError(f"the response is not HTTP ({error!r})") from error
    return paths


def _from_debian(names: list[str], folder: Path) -> list[Path]:
    """Download Debian's package, with its package lists in ``folder``, so that no root rights are needed."""
    if not shutil.which("apt-get"):
        raise FileNotFoundError("this system has no apt-get")
    logger.warning("downloading Debian's package %s, about 30 MB, and the package lists", DEBIAN_PACKAGE)
    lists, cache = folder.resolve() / "lists", folder.resolve() / "cache"
    for state in (lists, cache / "archives"):
        (state / "partial").mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
    apt += ["-o", "APT::Sandbox::User=root", "-o", f"Acquire::http::Timeout={TIMEOUT}"]
    # a hook or another repository may fail, which does not matter if the next command succeeds
    _run([*apt, "update"], folder, check=False)
    _run([*apt, "download", DEBIAN_PACKAGE], folder)
    (package,) = folder.glob("*.deb")
    _run(["dpkg-deb", "-x", package.name, "."], folder)
    return [folder / DEBIAN_FOLDER.relative_to("/") / f"{name}.gz" for name in names]


def _run(command: list[str], folder: Path, check: bool = True) -> None:
    result = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if check and result.returncode:
        raise OSError(f"{command[0]} failed: {' '.join(result.stderr.split())[-300:]}")

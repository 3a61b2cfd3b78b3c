"""Carry out ``scripts/demo.py``: load runs, serve the page until it is stopped, leave no picture behind."""

import os
import socket
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from fmnist.core.errors import InputError, exits_on_sigterm
from fmnist.core.runs import Run


def serve(runs: Sequence[Run], host: str, port: int, share: bool, threshold: float, root: str) -> None:
    """Serve the page until Ctrl-C or SIGTERM; the arguments are those of ``demo.py --help``.

    Raises:
        InputError: A flag has a wrong value, the port is taken, a run's model cannot be loaded, or Gradio is
            not installed.
    """
    check_address(host, port)
    with exits_on_sigterm(), tempfile.TemporaryDirectory(prefix="fmnist-demo-") as folder:
        drawn, uploads = (Path(folder, name) for name in ("examples", "uploads"))
        drawn.mkdir()
        # read when Gradio is imported; nothing is reported to its makers
        os.environ |= {"GRADIO_TEMP_DIR": str(uploads), "GRADIO_ANALYTICS_ENABLED": "False"}
        try:
            from fmnist.demo import page as demo
        except ModuleNotFoundError as error:
            raise InputError(
                f"the demo needs {error.name}, which is not installed: pip install -e '.[demo]'"
            ) from None
        from fmnist.demo.answer import Respondent

        page = demo.build_page([Respondent(run, root, threshold) for run in runs], drawn, uploads)
        try:
            demo.launch(page, host, port, share)
            address = page.share_url or page.local_url
            print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before anything is loaded.

    Raises:
        InputError: The port is taken or no port, or the host is none of this machine.
    """
    if not 1 <= port <= 65_535:
        raise InputError(f"--port {port}: must lie between 1 and 65535")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (socket.gaierror, UnicodeError):
        raise InputError(
            f"--host {host}: is no address of this machine, such as 127.0.0.1 or 0.0.0.0"
        ) from None
    except OSError as error:
        raise InputError(
            f"--port {port}: cannot be used on {host} ({error.strerror}); choose another --port, or a "
            "--host of this machine"
        ) from None

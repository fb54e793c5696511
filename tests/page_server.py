"""The page as a server of its own, at a port that is free: what the tests of the page and of its runs start."""

import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn

from reproduce.page.server import application

TESTS = Path(__file__).parent
FAKE = (sys.executable, str(TESTS / "page_program.py"))
SMALL = (sys.executable, str(TESTS / "program.py"))  # the true program with a small random network


@contextmanager
def serving(folder, program):
    """The address of the page, while the block runs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(application(folder, port, program), log_level="warning"))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(60)

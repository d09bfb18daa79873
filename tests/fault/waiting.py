"""The application of `test_cancel_on_disconnect.py`, as a module for a server in a process of its own; it notes by lines of output.

`MIDDLEWARE` in the environment is the kind of what is around it.
"""

from __future__ import annotations

import os

from tercel import FastAPI
from tests.fault.test_cancel_on_disconnect import waiting_app


def say(entry: object) -> None:
    os.write(1, f"noted: {entry}\n".encode())


app = waiting_app(FastAPI, say, os.environ["MIDDLEWARE"])

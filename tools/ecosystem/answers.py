"""Answers of running applications: FastAPI on uvicorn, and Tercel on its own server, asked the same and compared.

The requests are made from the application's own document (`requesting`). FastAPI is started twice: where its two answers differ
from each other (an id, a time, an order that is left to chance), only the status is compared. Nothing is masked for one
application alone.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tools.ecosystem.catalogue import Application
from tools.ecosystem.places import Place, say, unpacked
from tools.ecosystem.requesting import Request
from tools.environment import Problem

START_S = 180.0
"""For the lifespan to start: some of them migrate a database."""
ANSWER_S = 5.0
"""For one answer; an endless stream is cut off here, and what has come until then is left out."""
SHOWN = 160
"""Characters of an answer in a report."""
PROBLEMS_AT_MOST = 15
"""In a report: one cause often touches every request."""
SERVERS = {
    "original": ["-m", "uvicorn", "--no-access-log", "--log-level", "warning"],
    "tercel": ["-m", "tercel", "run", "--no-access-log"],
}
OF_THE_SERVER = {"date", "server", "connection", "keep-alive", "transfer-encoding", "content-length"}
"""Header fields that belong to the connection, or follow from the body."""
_CHANGING = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"  # a UUID
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?"  # a time
    r"|\b(?=[0-9a-f]*[0-9])[0-9a-f]{16,}\b"  # a random token
    r"|(?<=0x)[0-9a-f]{6,}"  # the address of an object
    r"|(?<=127\.0\.0\.1:)\d+"  # the port
    r"|(?<=/)(?:env-)?(?:original|tercel)(?=/)"  # where the environments are
    r"|\b\d+\.\d{3,}\b|\b\d{10,}\b"  # a duration, seconds since 1970
)


@dataclass(frozen=True)
class Answer:
    """What came back, less what changes from run to run. Status 0: nothing came, and the body says why."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass
class Answers:
    """How an application's answers compare.

    Attributes:
        requests: how many were sent.
        equal: how many were answered alike.
        unsteady: how many of these FastAPI itself answers differently each time, so that only the status counts.
        problems: what differs: the request, and the part of the answer.
    """

    requests: int = 0
    equal: int = 0
    unsteady: int = 0
    problems: list[str] = field(default_factory=list)


def compare(requests: Sequence[Request], first: Sequence[Answer], second: Sequence[Answer], tercel: Sequence[Answer]) -> Answers:
    """Compares FastAPI's answers of two runs with Tercel's, in the order of the requests."""
    result = Answers(requests=len(requests))
    for request, one, two, other in zip(requests, first, second, tercel, strict=True):
        if other in (one, two):
            result.equal += 1
        elif one != two and other.status in (one.status, two.status):
            result.equal += 1
            result.unsteady += 1
        else:
            result.problems.append(f"{request.name}: {difference(one, other)}")
    more = len(result.problems) - PROBLEMS_AT_MOST
    if more > 0:
        result.problems[PROBLEMS_AT_MOST:] = [f"and {more} more"]
    return result


def difference(original: Answer, tercel: Answer) -> str:
    """The first part in which two answers differ, in a few words."""
    if original.status != tercel.status:
        return f"{tercel.status or 'no answer'} {tercel.body[:SHOWN]}, not {original.status or 'no answer'} {original.body[:SHOWN]}"
    if original.headers != tercel.headers:
        more = [header for header in tercel.headers if header not in original.headers]
        less = [header for header in original.headers if header not in tercel.headers]
        return f"header fields {more or 'in another order'}, not {less}"
    start = next((n for n, (a, b) in enumerate(zip(original.body, tercel.body, strict=False)) if a != b), 0)
    begin = max(0, start - 30)
    return f"{tercel.body[begin:][:SHOWN]!r}, not {original.body[begin:][:SHOWN]!r}"


def told(name: str, value: str) -> str:
    """The value of a header field, less what Tercel decides otherwise on purpose: whether a small body may be compressed.

    See "Small bodies are not compressed behind a middleware function" in docs/differences.md.
    """
    if name.lower() != "vary":
        return value
    return ", ".join(each for each in value.split(", ") if each.lower() != "accept-encoding")


def steady(text: str) -> str:
    """A text in which what changes from run to run is a star."""
    return _CHANGING.sub("*", text)


def answers_of(place: Place, application: Application, requests: Sequence[Request]) -> list[Answer]:
    """Starts an application with nothing in its home, and asks it.

    Raises:
        Problem: it does not start, or ends while it is asked.
    """
    with serving(place, application) as (process, port):
        answers = []
        for request in requests:
            answers.append(ask(port, request))
            if process.poll() is not None:
                raise Problem(f"{application.name} on {place.side}: ended with {process.returncode} after {request.name}")
        return answers


@contextlib.contextmanager
def serving(place: Place, application: Application) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """An application that is served, and its port.

    Raises:
        Problem: it does not start.
    """
    folder = unpacked(place) / application.source if application.source else place.folder / "run"
    home = place.folder / "home"
    for each in (home, *([] if application.source else [folder])):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)
    module, _, expression = application.serve.partition(":")
    (folder / "served_application.py").write_text(
        f"import importlib\n\napp = eval({expression!r}, vars(importlib.import_module({module!r})))\n"
    )
    log = place.folder / "server.log"
    port = free_port()
    command = [str(place.python), *SERVERS[place.side], "--host", "127.0.0.1", "--port", str(port), "served_application:app"]
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(folder), "HOME": str(home)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**variables, **application.variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_open(process, port, f"{application.name} on {place.side}: see {log}")
        yield process, port
    finally:
        stop(process)


def free_port() -> int:
    """A port of the loopback interface that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until_open(process: subprocess.Popen[bytes], port: int, told: str) -> None:
    """Returns when the server accepts connections, which both servers do when the lifespan has started.

    Raises:
        Problem: it ended, or took longer than START_S.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Problem(f"does not start: {told}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise Problem(f"not ready after {START_S:.0f} s: {told}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a server as a terminal does, and what it has started with force: it has a process group of its own."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ask(port: int, request: Request) -> Answer:
    """Sends one request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    headers = {"content-type": request.content_type} if request.body is not None else {}
    try:
        connection.request(request.method, request.target, request.body, headers)
        response = connection.getresponse()
        fields = sorted((name.lower(), steady(told(name, value))) for name, value in response.getheaders())
        kept = tuple(each for each in fields if each[0] not in OF_THE_SERVER and each != ("vary", ""))
        try:
            return Answer(response.status, kept, steady(response.read().decode("utf-8", "backslashreplace")))
        except TimeoutError:
            return Answer(response.status, kept, "(does not end)")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, (), type(error).__name__)
    finally:
        connection.close()


def compare_answers(original: Place, tercel: Place, application: Application, requests: Sequence[Request]) -> Answers:
    """Runs an application twice on FastAPI and once on Tercel.

    Raises:
        Problem: it does not start, or does not stay up.
    """
    say(f"asking {application.name}: {len(requests)} requests")
    first, second = (answers_of(original, application, requests) for _ in range(2))
    return compare(requests, first, second, answers_of(tercel, application, requests))

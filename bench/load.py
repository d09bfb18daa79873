"""Load and verification: one request looked at closely, then as many as the server takes, by wrk or by `bench/websocket_load.c`.

Knows workloads and ports, not frameworks. Runs on the load's core, since its process is pinned there.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.environments import CACHE, ROOT, Failure
from bench.servers import Server
from bench.workloads import Workload

__all__ = ["Sample", "compile_websocket_load", "measure", "require_tools", "run_wrk", "verify", "verify_refusals"]

CONNECTIONS: Final = 64
LOAD_TIMEOUT_S: Final = 60.0  # a load generator that takes longer hangs, whatever the length of a measurement
REQUEST_TIMEOUT_S: Final = 10.0  # for the one request that is verified; a server that needs longer is broken

_DONE: Final = """
done = function(summary, latency, requests)
  local e = summary.errors
  local f = 'RESULT {"count": %d, "elapsed_us": %d, "p50_us": %.0f, "p99_us": %.0f, "p999_us": %.0f, "errors": %d, "refused": %d}'
  print(string.format(f,
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.timeout, e.status))
end
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured run.

    Args:
        rate_per_s: requests, or messages of a WebSocket.
        p50_ms: half of them took no longer, as the load generator saw it under full load.
        p99_ms: the same for 99 of 100.
        load_cpu: share of its core that the load generator used; near 1.0 it is the generator that was measured.
        server_cpu: the same for the server.
    """

    rate_per_s: float
    p50_ms: float
    p99_ms: float
    load_cpu: float
    server_cpu: float

    @property
    def rate_per_cpu_s(self) -> float:
        """The rate for each second of processor time that the server used."""
        return self.rate_per_s / max(self.server_cpu, 0.01)


def require_tools(workloads: list[Workload]) -> None:
    """Say what is missing before anything is started.

    Raises:
        Failure: wrk is needed and not here, or there is neither a C compiler nor picows for sockets.
    """
    if any(not workload.is_websocket for workload in workloads) and shutil.which("wrk") is None:
        raise Failure("wrk makes the HTTP load and is not installed. On Debian: apt-get install wrk")
    if any(workload.is_websocket for workload in workloads) and compile_websocket_load() is None:
        try:
            import picows  # noqa: F401
            import uvloop  # noqa: F401
        except ImportError:
            raise Failure(
                "a C compiler, or picows and uvloop, make the WebSocket load, and none is here. Run `make bench`"
            ) from None


@functools.cache
def compile_websocket_load() -> Path | None:
    """The load in C (`bench/websocket_load.c`), compiled once for each state of its source; None where there is no C compiler."""
    source = ROOT / "bench" / "websocket_load.c"
    compiler = shutil.which(os.environ.get("CC") or "cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    program = CACHE / "load" / f"websocket-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        done = subprocess.run([compiler, "-O2", "-o", str(fresh), str(source)], capture_output=True, text=True)
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[-200:]
            print(f"bench: the WebSocket load is made by picows, which costs more: {said}", file=sys.stderr, flush=True)
            return None
        fresh.replace(program)
    return program


def verify(workload: Workload, port: int) -> None:
    """Make one request and look at all of its answer, twice on one connection: it has to be kept, with ends that can be found.

    Raises:
        Failure: the answer is not the expected one.
    """
    if workload.is_websocket:
        _run_websocket(workload, port, seconds=0.0, connections=1)
        return
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_S)
    try:
        for _ in range(2):
            status, head, body, kept = _ask(connection, workload.method, workload.path, workload.headers, workload.body)
            fault = workload.find_fault(status, head.get("content-type", ""), body)
            if fault is None and not kept:
                fault = "the connection was not kept"
            if fault is not None:
                raise Failure(f"wrong answer: {fault}")
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"wrong answer: no answer: {error!r}") from None
    finally:
        connection.close()


def verify_refusals(workload: Workload, port: int) -> None:
    """Make the requests that have to be refused.

    Raises:
        Failure: one of them is not, or the server breaks on it.
    """
    for refusal in workload.refusals:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_S)
        try:
            status, _, body, _ = _ask(connection, workload.method, refusal.path, refusal.headers, refusal.body)
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"wrong answer to {refusal.why}: no answer: {error!r}") from None
        finally:
            connection.close()
        if status not in refusal.statuses:
            raise Failure(f"wrong answer to {refusal.why}: status {status} instead of {refusal.statuses[0]}: {body[:80]!r}")


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes
) -> tuple[int, http.client.HTTPMessage, bytes, bool]:
    """Status, header fields and body of one answer, and whether the connection is kept."""
    connection.request(method, path, body=body or None, headers=dict(headers))
    response = connection.getresponse()
    data = response.read()
    return response.status, response.headers, data, not response.will_close


def measure(workload: Workload, server: Server, seconds: float) -> Sample:
    """Ask the same for some seconds over 64 connections that are kept open.

    Raises:
        Failure: a connection broke or a status was an error.
    """
    load_s, server_s = -_children_cpu_s(), -server.cpu_s()
    if workload.is_websocket:
        result = _run_websocket(workload, server.port, seconds, CONNECTIONS)
    else:
        result = _run_wrk(workload, server.port, seconds)
    load_s += _children_cpu_s()
    server_s += server.cpu_s()
    elapsed_s = result["elapsed_us"] / 1e6
    return Sample(
        rate_per_s=result["count"] / elapsed_s,
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        load_cpu=min(load_s / elapsed_s, 1.0),
        server_cpu=min(server_s / elapsed_s, 1.0),
    )


def _children_cpu_s() -> float:
    """Processor time of the load generators that have ended; servers still run and do not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_wrk(workload: Workload, port: int, seconds: float, connections: int = CONNECTIONS) -> dict[str, Any]:
    """What wrk found: `count`, `elapsed_us`, `p50_us`, `p99_us`, `p999_us`, `errors` of connections and `refused` requests.

    Raises:
        Failure: wrk failed or did not end.
    """
    script = CACHE / "wrk" / f"{workload.name}.lua"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(_make_lua(workload), "ascii")
    url = f"http://127.0.0.1:{port}{workload.path}"
    # wrk takes whole seconds only.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(script), url]
    return _read_result(command)


def _run_wrk(workload: Workload, port: int, seconds: float) -> dict[str, Any]:
    result = run_wrk(workload, port, seconds)
    if result["errors"] or result["refused"]:
        raise Failure(
            f"under load: {result['errors']} broken or slow connections, {result['refused']} responses with an error status"
        )
    return result


def _run_websocket(workload: Workload, port: int, seconds: float, connections: int) -> dict[str, Any]:
    program = compile_websocket_load()
    what = [str(connections), str(seconds), workload.expected]
    if program is not None:
        return _read_result([str(program), "127.0.0.1", str(port), workload.path, *what])
    url = f"ws://127.0.0.1:{port}{workload.path}"
    return _read_result([sys.executable, str(ROOT / "bench" / "websocket_load.py"), url, *what])


def _read_result(command: list[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Failure(f"{Path(command[0]).name} did not end within {LOAD_TIMEOUT_S:.0f} s") from None
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if done.returncode != 0 or line is None:
        said = " ".join((done.stderr or done.stdout).split())[-200:]
        raise Failure(f"{Path(command[0]).name} failed: {said}")
    result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return result


def _make_lua(workload: Workload) -> str:
    lines = [f"wrk.method = {_quote(workload.method)}"]
    lines += [f"wrk.headers[{_quote(name)}] = {_quote(value)}" for name, value in workload.headers]
    if workload.body:
        lines.append(f"wrk.body = {_quote(workload.body.decode())}")
    return "\n".join(lines) + _DONE


def _quote(text: str) -> str:
    """A Lua string; every byte that is not plainly harmless as a decimal escape."""
    plain = "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03d}" for byte in text.encode())
    return f'"{plain}"'

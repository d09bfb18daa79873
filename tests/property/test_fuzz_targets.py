"""The fuzzer's targets (`tools/fuzz`) with Hypothesis and their seeds, in seconds; and that a target that is broken is reported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.feeding import needs_compiled
from tools.fuzz import memory
from tools.fuzz.__main__ import NAMES
from tools.fuzz.seeds import seeds, words
from tools.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("TERCEL_EXAMPLES", "100"))

# Endpoints are compared over the compiled protocol, as they are served.
named = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[needs_compiled] if name in ("protocols", "forms", "parameters") else []) for name in NAMES]
)


# A part that is never ended leaves its file to the garbage collector: Starlette's parser knows it only while it parses. The
# descriptor is gone afterwards, which tests/attacks/test_forms.py shows.
starlettes_files = pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")


@named
@starlettes_files
def test_each_seed_breaks_nothing(name: str) -> None:
    for data in seeds(name):
        TARGETS[name](data)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """A seed with some bytes replaced by words of the target's language, by other bytes, or by nothing."""
    data = bytearray(draw(st.sampled_from(seeds(name))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 6))
        data[start : start + length] = draw(st.one_of(st.sampled_from(words(name)), st.binary(max_size=4)))
    return bytes(data)


@named
@starlettes_files
@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_mutated_seeds_and_any_bytes_break_nothing(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(st.one_of(mutated(name), mutated(name), st.binary(max_size=200))))


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n", "without an end"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef", "not a response head"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n", "chunk does not end"),
        (b"HTTP/1.1 200 OK\r\nx:\x00\r\n\r\n", "not a field"),
    ],
)
def test_a_corrupt_stream_is_noticed(written: bytes, says: str) -> None:
    with pytest.raises(memory.Broken, match=says):
        memory.parse_answers(written, ["GET"], b"")


@pytest.mark.parametrize(("stream", "complete"), [(b"HEAD / HTTP/1.1\r\n\r\n", True), (b"GET / HTTP/1.1\r\n\r\n", False)])
def test_only_a_head_may_be_refused_without_a_body(stream: bytes, complete: bool) -> None:
    written = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 63\r\n\r\n"
    assert memory.parse_answers(written, [], stream).complete is complete


@pytest.mark.parametrize("broken", [False, True])
def test_an_input_can_be_run_again_without_the_fuzzer(broken: bool, tmp_path: Path) -> None:
    """`broken`: of a decoder that takes a bare LF, in that process only."""
    program = "import sys, tools.fuzz.__main__ as fuzz\n"
    if broken:
        program += "from tercel.server.body import ChunkedDecoder as C\nfeed = C.feed\n"
        program += "C.feed = lambda self, data, at, out: feed(self, data.replace(b'3\\n', b'3\\r\\n'), at, out)\n"
    path = tmp_path / "input"
    path.write_bytes(b"\0\0003\nabc\r\n0\r\n\r\n")
    command = [sys.executable, "-c", program + "sys.exit(fuzz.main())", "replay", "chunked", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == int(broken), done.stderr
    assert ("Broken: decoded with cuts" in done.stderr) is broken
    assert ("breaks nothing" in done.stderr) is not broken

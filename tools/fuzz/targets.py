"""What is fuzzed: each target takes any bytes, and raises `Broken` (or anything) when a rule is broken.

| target | what it drives | compared with |
|---|---|---|
| http | the pure protocol | itself, the bytes cut elsewhere |
| protocols | the compiled protocol | the pure one: answers, what the application saw, state, log |
| websocket | WebSocket frames and messages, both protocols, with permessage-deflate or not | itself cut elsewhere; `websockets` |
| chunked | the decoder of chunked bodies | a decoder of one regular expression per part, written here |
| forms | multipart and urlencoded bodies at an endpoint | the interpreted engine; no 5xx |
| parameters | path, query, header, cookie, JSON body at an endpoint | the interpreted engine; no 5xx |

The first byte of an input chooses settings, the second how many cuts follow (two bytes each); the rest is what the client sends.
Pure Python, so that `make test` runs the same targets with Hypothesis, and a reproduction needs no fuzzer.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from itertools import product
from typing import Any, Final

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import SERVER, State
from websockets.protocol import Protocol as PeerProtocol

from tercel.server.body import BodySyntaxError, ChunkedDecoder
from tercel.server.protocols import compiled_connection
from tests.attacks.attacker import OPENING, frame
from tests.protocol.comparing import FORWARDED, both, logged
from tests.protocol.feeding import Protocol
from tests.protocol.peer import DirectApp, config
from tools.fuzz.application import engines
from tools.fuzz.memory import Broken, answer, converse, parse_answers

__all__ = ["TARGETS", "with_cuts"]

_MAX_CUTS = 6
_PROTOCOLS: Final[tuple[Protocol, ...]] = ("pure",) if compiled_connection() is None else ("pure", "compiled")

_SETTINGS: list[dict[str, Any]] = [
    {},
    {"max_head_bytes": 300, "max_headers": 4, "max_body_bytes": 30, "max_target_bytes": 60},
    {"forwarded_allow_ips": ("192.0.2.1",), "forwarded_fields": FORWARDED},
    {"root_path": "/api", "server_header": True, "access_log": True},
    {"body_buffer_bytes": 8, "discard_body_bytes": 16},
    {"look_ahead_bytes": 64, "max_body_bytes": 0},
]
_CONFIGS = [config(date_header=False, **options) for options in _SETTINGS]


def with_cuts(data: bytes, cuts: list[int] | None = None, settings: int = 0) -> bytes:
    """An input of a target that is cut there."""
    cuts = cuts or []
    return bytes([settings, len(cuts)]) + b"".join(cut.to_bytes(2, "big") for cut in cuts) + data


def _split(data: bytes) -> tuple[int, list[int], bytes]:
    settings, count = (*data[:2], 0, 0)[:2]
    count %= _MAX_CUTS + 1
    places = data[2 : 2 + 2 * count]
    rest = data[2 + 2 * count :]
    if not rest:
        return settings, [], rest
    # Positions behind the end would be no cuts.
    return settings, [int.from_bytes(places[at : at + 2], "big") % len(rest) for at in range(0, len(places) - 1, 2)], rest


def check_equal(found: Any, wanted: Any, what: str) -> None:
    """Raise `Broken` with both when they differ."""
    if found != wanted:
        raise Broken(f"{what}:\n  {found!r}\n  {wanted!r}")


# -- HTTP ------------------------------------------------------------------------------------------------------------------------


async def _refuse(scope: Any, receive: Any, send: Any) -> None:
    """What becomes of an upgrade to WebSocket."""
    await send({"type": "websocket.close"})


def check_http(data: bytes) -> None:
    """The pure protocol: strict answers, one for each request, the same wherever the bytes are cut."""
    settings, cuts, stream = _split(data)
    limits = _CONFIGS[settings % len(_CONFIGS)]
    found = []
    for places in ([], cuts, list(range(1, len(stream)))):
        with logged() as lines:
            done = converse(DirectApp(answer, _refuse), limits, stream, places, "pure")
        answers = parse_answers(done.written, done.handled, stream)
        refusals = [status for status, _, _ in answers.responses if status >= 400]
        if lines and "access" not in lines[0][0]:
            raise Broken(f"logged an error: {lines}")
        if len(refusals) > 1 or (refusals and answers.responses[-1][0] < 400):
            raise Broken(f"something follows a refusal: {answers}")
        if len(answers.responses) - len(refusals) > len(done.handled):
            raise Broken(f"{len(answers.responses)} answers to {done.handled}")
        if len(answers.responses) < len(done.handled) - 1 + bool(refusals):
            raise Broken(f"{len(answers.responses)} answers only to {done.handled}")
        if refusals and not done.closed:
            raise Broken(f"not closed after {refusals}")
        if not answers.complete:
            raise Broken(f"an answer was cut off: {done.written!r}")
        if limits.max_body_bytes is None:
            found.append(answers.responses)
        else:
            # A body can be too large and, behind that, malformed: which is noticed first depends on when the application reads.
            found.append([response for response in answers.responses if response[0] not in (400, 413)])
    check_equal(found[1], found[0], "cut and whole differ")
    check_equal(found[2], found[0], "byte by byte and whole differ")


def check_protocols(data: bytes) -> None:
    """The compiled protocol against the pure one."""
    settings, cuts, stream = _split(data)
    pure, compiled = both(stream, cuts, **_SETTINGS[settings % len(_SETTINGS)])
    check_equal(compiled, pure, "the protocols differ")


# -- chunked bodies --------------------------------------------------------------------------------------------------------------

# RFC 9112 §7.1, without the white space that Tercel refuses.
_NAME = rb'[^\s"(),/:;<=>?@\[\\\]{}\x00-\x1f\x7f-\xff]+'
_STRING = rb'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\x80-\xff])*"'
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})(?:;%b(?:=(?:%b|%b))?)*\r\n" % (_NAME, _NAME, _STRING))
_TRAILERS = re.compile(rb"((?:%b:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n" % _NAME)


def _reference_chunked(data: bytes) -> tuple[bytes, int] | None:
    """Body and length of a chunked body at the beginning of these bytes; None when it is incomplete or malformed."""
    body = b""
    at = 0
    while match := _SIZE_LINE.match(data, at):
        size = int(match[1], 16)
        at = match.end()
        if size == 0:
            trailers = _TRAILERS.match(data, at)
            return None if trailers is None else (body, trailers.end())
        if data[at + size : at + size + 2] != b"\r\n":
            return None
        body += data[at : at + size]
        at += size + 2
    return None


def check_chunked(data: bytes) -> None:
    """The decoder against a simple one, and against itself with other cuts."""
    _, cuts, stream = _split(data)
    wanted = _reference_chunked(stream)
    for places in ([], cuts, list(range(1, len(stream)))):
        decoder = ChunkedDecoder(65_536)
        pieces: list[bytes] = []
        used = 0
        try:
            for stop in sorted({*places, len(stream)}):
                while used < stop and not decoder.complete:
                    used = decoder.feed(stream[:stop], used, pieces)
        except BodySyntaxError:
            found = None
        else:
            found = (b"".join(pieces), used) if decoder.complete else None
        if b"" in pieces:
            raise Broken("an empty piece")
        check_equal(found, wanted, f"decoded with cuts {places[:9]}")


# -- WebSocket -------------------------------------------------------------------------------------------------------------------

_DEFLATE_FIELD = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
_MAX_MESSAGE_BYTES = 2_000
_WS_CONFIG = config(date_header=False, ws_max_message_bytes=_MAX_MESSAGE_BYTES, ws_compression=True)


def _frames_of(data: bytes) -> bytes:
    """Frames with right masks and lengths, described by bytes: opcode and flags, length, payload, again and again."""
    out = b""
    while len(data) >= 2:
        first, size = data[0], data[1]
        # A length of 250 and more stands for one that needs more bytes (RFC 6455 §5.2).
        payload = data[2 : 2 + size] if size < 250 else data[2:6] * (1 << (size - 246))
        data = data[2 + (size if size < 250 else 4) :]
        out += frame(first & 15, payload, fin=bool(first & 0x80), rsv=first >> 4 & 7)
    return out


def check_websocket(data: bytes) -> None:
    """Messages and the way it ends: the same wherever the bytes are cut, and the same as `websockets` has them."""
    settings, cuts, stream = _split(data)
    compressed = bool(settings & 1)
    if settings & 2:
        stream = _frames_of(stream)
    opening = OPENING.format(target="/", fields=_DEFLATE_FIELD if compressed else "").encode()
    wanted = _reference_messages(stream, compressed)
    outcomes = []
    everywhere = list(range(1, min(len(stream), 600)))
    for protocol, places in product(_PROTOCOLS, ([], cuts, everywhere)):
        seen: list[Any] = []
        with logged() as lines:
            done = converse(
                DirectApp(answer, _listener(seen)),
                _WS_CONFIG,
                opening + stream,
                [len(opening) + place for place in (0, *places)],
                protocol,
            )
        if lines:
            raise Broken(f"logged: {lines}")
        head, _, frames = done.written.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Broken(f"not accepted: {head!r}")
        # A pong may be left out when the connection fails behind the ping.
        outcomes.append((seen, [found for found in _parse_frames(frames) if found[0] != Opcode.PONG]))
    messages, (end, code) = outcomes[0][0][:-1], outcomes[0][0][-1]
    for outcome, what in zip(
        outcomes[1:], ("cut", "byte by byte", "compiled", "compiled and cut", "compiled byte by byte"), strict=False
    ):
        check_equal(outcome, outcomes[0], f"{what}, and whole and pure differ")
    if end != "end":
        raise Broken(f"the application was not told of the end: {outcomes[0]}")
    for more in (140, 70_000):
        if wanted[1] == 1006 and code != 1006:
            # What the first two bytes of a frame show to be wrong needs no more of them. `websockets` wants all, for a CLOSE of a
            # length in 16 bits as well.
            wanted = (wanted[0], *_reference_messages(stream + bytes(more), compressed)[1:])
    # Found and wanted: `websockets` has no code of its own for a length of more than 63 bits, and looks at the reason of a CLOSE
    # before its code.
    if (code, wanted[1]) in [(1002, 1009), (1002, 1007)]:
        code = wanted[1]
    # The other way round for a CLOSE with two faults: picows has read its reason before anybody looks at its reserved bits.
    if (code, wanted[1:]) == (1007, (1002, "reserved bits must be 0")):
        code = 1002
    if compressed and outcomes[0][1][-1:] != [] and outcomes[0][1][-1][1][:2] == b"\x03\xef":
        # It takes a stream that ends within the bytes that RFC 7692 §7.2.2 adds, and says 1002 to what cannot be inflated.
        wanted = (wanted[0][: len(messages)], code, "")
    check_equal((messages, code), wanted[:2], "websockets reads it otherwise")


def _listener(seen: list[Any]) -> Callable[[Any, Any, Any], Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message.get("text", message.get("bytes")))
        seen.append(("end", message["code"]))

    return app


def _parse_frames(data: bytes) -> list[tuple[int, bytes]]:
    """The server's frames: whole, unmasked, nothing behind a CLOSE."""
    frames: list[tuple[int, bytes]] = []
    while data:
        if data[0] & 0x70 or not data[0] & 0x80 or len(data) < 2 or data[1] > 125:
            raise Broken(f"not a control frame: {data!r}")
        if frames and frames[-1][0] == Opcode.CLOSE:
            raise Broken(f"sent after CLOSE: {data!r}")
        size = data[1]
        if len(data) < 2 + size:
            raise Broken(f"half a frame: {data!r}")
        frames.append((data[0] & 15, data[2 : 2 + size]))
        data = data[2 + size :]
    return frames


def _reference_messages(stream: bytes, compressed: bool) -> tuple[list[Any], int, str]:
    """The messages in a client's bytes, the code the application is told, and what was wrong if anything, read by `websockets`."""
    peer = PeerProtocol(SERVER, state=State.OPEN, max_size=_MAX_MESSAGE_BYTES)
    if compressed:
        peer.extensions = [PerMessageDeflate(True, True, 15, 15)]
    padded_at = _padded_length_at(stream)
    peer.receive_data(stream[:padded_at])
    messages: list[Any] = []
    parts: list[bytes] = []
    text = False
    for event in peer.events_received():
        opcode = getattr(event, "opcode", None)
        if opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if opcode is not Opcode.CONT:
                parts, text = [], opcode is Opcode.TEXT
            parts.append(bytes(event.data))
            try:
                decoded = _decode(b"".join(parts), event.fin) if text else b"".join(parts)
            except UnicodeDecodeError:
                return messages, 1007, ""
            if event.fin:
                messages.append(decoded)
        elif opcode is Opcode.CLOSE:
            if not event.data:
                return messages, 1005, ""
            return messages, int.from_bytes(event.data[:2], "big"), ""
    error = peer.parser_exc
    if error is None or isinstance(error, EOFError):
        return messages, 1006 if padded_at is None else 1002, ""
    if "incomplete fragmented" in str(error) and peer.close_rcvd is not None:
        # RFC 6455 §5.4 lets control frames stand between fragments, CLOSE among them.
        return messages, peer.close_rcvd.code, ""
    return messages, {"PayloadTooBig": 1009, "UnicodeDecodeError": 1007}.get(type(error).__name__, 1002), str(error)


def _padded_length_at(stream: bytes) -> int | None:
    """Where the first frame begins whose length is in more bytes than it needs, which `websockets` lets pass (RFC 6455 §5.2)."""
    at = 0
    while at + 2 <= len(stream):
        size = stream[at + 1] & 127
        more = {126: 2, 127: 8}.get(size, 0)
        head_bytes = 2 + more + (4 if stream[at + 1] & 128 else 0)
        if at + head_bytes > len(stream):
            return None
        if more:
            size = int.from_bytes(stream[at + 2 : at + 2 + more], "big")
            if size < (126 if more == 2 else 65_536):
                return at
        at += head_bytes + size
    return None


def _decode(data: bytes, final: bool) -> str:
    return codecs.getincrementaldecoder("utf-8")().decode(data, final)


# -- endpoints -------------------------------------------------------------------------------------------------------------------


def _check_endpoint(request: bytes) -> None:
    """Both engines answer the same, and never with a 5xx except 501 (a method that nobody knows)."""
    written = []
    for app in engines():
        with logged() as lines:
            done = converse(app, _CONFIGS[0], request, [], "compiled")
        if lines:
            raise Broken(f"logged: {lines}")
        answers = parse_answers(done.written, done.handled, request)
        if not answers.complete or any(status >= 500 and status != 501 for status, _, _ in answers.responses):
            raise Broken(f"{answers}")
        if not answers.responses:
            raise Broken("no answer")
        written.append(answers)
    check_equal(written[0], written[1], "compiled and interpreted engine differ")


def check_forms(data: bytes) -> None:
    """A form body: the first byte chooses the endpoint, a line gives the content type."""
    choice = data[:1] or b"\0"
    content_type, _, body = data[1:].partition(b"\n")
    path = (b"/form", b"/files", b"/model", b"/raw")[choice[0] % 4]
    _check_endpoint(
        b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (path, content_type, len(body), body)
    )


def check_parameters(data: bytes) -> None:
    """A request whose parts are lines: path, query, cookie, headers, and the body behind them."""
    path, query, cookie, token, other, body = (*data.split(b"\n", 5), b"", b"", b"", b"", b"")[:6]
    method = b"POST" if body else b"GET"
    _check_endpoint(
        b"%b /%b?%b HTTP/1.1\r\nHost: h\r\nCookie: %b\r\nX-Token: %b\r\nX-Numbers: %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (method, path, query, cookie, token, other, len(body), body)
    )


TARGETS: dict[str, Callable[[bytes], None]] = {
    "http": check_http,
    "protocols": check_protocols,
    "websocket": check_websocket,
    "chunked": check_chunked,
    "forms": check_forms,
    "parameters": check_parameters,
}

"""Why Tercel answers as it does where servers differ, for each case that is not answered alike by all of them."""

from __future__ import annotations

from typing import Final

__all__ = ["REASONS"]

_GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "A server should skip empty lines in front of a request line (RFC 9112 §2.2); old clients send one behind a body.",
        (
            "an empty line in front",
            "ten empty lines in front",
        ),
    ),
    (
        "An absolute form may have no path, which means `/` (RFC 9112 §3.2.2, RFC 3986 §6.2.3).",
        ("an absolute target without a path",),
    ),
    (
        "The first answer ends a connection that is not to be kept; hypercorn refuses the bytes behind it, and its 400 "
        "comes in place of the answer.",
        (
            "no Host in HTTP/1.0",
            "HTTP/1.0",
            "Connection: close",
            "Connection: close among others",
        ),
    ),
    (
        "A client of HTTP/1.0 that asks for it may be kept (RFC 9112 §9.3); Tercel says `connection: keep-alive` to it.",
        ("HTTP/1.0 with keep-alive",),
    ),
    (
        "A coding that is not `chunked` alone is not known here: 501 (RFC 9112 §6.1). Skipping what it does not know, a "
        "server hands on a body that is still coded, or disagrees with a proxy about its end.",
        (
            "gzip, then chunked",
            "an empty element before chunked",
        ),
    ),
    (
        "A trailer is never merged into the header fields (RFC 9110 §6.5.1), so it can be dropped whatever it names.",
        ("a trailer that names a length",),
    ),
    (
        "The body has come with the head: there is no need to ask for it (RFC 9110 §10.1.1).",
        ("a body that is expected to be asked for",),
    ),
    (
        "Who does not know a protocol ignores the upgrade (RFC 9110 §7.8). uvicorn on httptools reads nothing more from "
        "the connection; hypercorn speaks h2c and takes the next request for it.",
        (
            "an upgrade to h2c",
            "an upgrade nobody knows",
        ),
    ),
    (
        "Limits differ: Tercel's are 128 fields and 64 KiB for a head (431), 16 KiB for a target (414), all settings "
        "([the server](server.md#size)). uvicorn on httptools has none for a head, and answers 400 where a target is "
        "long.",
        (
            "a hundred fields",
            "two hundred fields",
            "a field of 100 KB",
            "a name of 100 KB",
            "a target of 100 KB",
            "a query of 100 KB",
        ),
    ),
    (
        "Content-Length with Transfer-Encoding is how requests are smuggled; RFC 9112 §6.3 allows to refuse it, and "
        "nobody sends it in good faith.",
        (
            "length and coding",
            "coding and length",
            "length and coding (2)",
            "coding and length (2)",
        ),
    ),
    (
        "Several equal lengths may be refused or taken for one (RFC 9110 §8.6). A proxy that takes another of them "
        "disagrees, so they are refused.",
        (
            "the same length twice",
            "a list of lengths",
        ),
    ),
    (
        "A number that 63 bits cannot hold is an attack on arithmetic, no length (RFC 9110 §8.6: anticipate large "
        "numbers). Others wait for a body that can never come.",
        (
            "a length beyond 64 bits",
            "length of 2**64",
            "length of 2**63",
            "a chunk size that overflows",
            "huge size",
            "size of 2**64 + 5",
        ),
    ),
    (
        "`chunked` twice, not last, with parameters or misspelt leaves the end of the body unknown: 400 (RFC 9112 §6.1, "
        "§6.3). hypercorn takes all of them for unknown codings.",
        (
            "chunked twice",
            "chunked in two fields",
            "chunked, then identity",
            "identity",
            "identity (2)",
            "a coding nobody knows",
            "a coding with a parameter",
            "a quoted coding",
            "chunked not last",
        ),
    ),
    (
        "HTTP/1.0 has no Transfer-Encoding: its framing is to be treated as faulty (RFC 9112 §6.1).",
        ("a coding in HTTP/1.0",),
    ),
    (
        "Folded lines are obsolete and refused (RFC 9112 §5.2): a proxy may see two fields where the server sees one.",
        (
            "a folded coding",
            "a folded field",
            "line folding",
            "folded trailer",
        ),
    ),
    (
        "No chunk by RFC 9112 §7.1: 400. granian says 500, as if it were the server's mistake.",
        (
            "a chunk size with a sign",
            "a negative chunk size",
            "a chunk size with 0x",
            "a chunk size with an underscore",
            "an empty chunk size",
            "a chunk longer than its size",
            "a chunk that ends with LF",
            "a size line that ends with LF",
            "a size line with a bare CR",
            "an extension with LF",
            "a trailer that is none",
            "a trailer with NUL",
            "no hexadecimal size",
            "space before the size",
            "chunk too short",
            "bare CR behind the size",
            "bare LF at the end",
            "trailer without a colon",
            "NUL in a trailer",
        ),
    ),
    (
        "The grammar of a chunk allows no white space behind its size and no controls in an extension (RFC 9112 §7.1); "
        "parsers that skip them find different ends of a chunk.",
        (
            "a chunk size with spaces",
            "control in an extension",
            "bare CR in an extension",
        ),
    ),
    (
        "Extensions and trailers are read at a client's leisure and thrown away; without a limit they cost time for "
        "nothing (RFC 9112 §7.1.1).",
        (
            "an endless extension",
            "an endless trailer",
            "endless extension",
            "endless trailer",
        ),
    ),
    (
        "A request of HTTP/1.1 has exactly one Host: 400 otherwise (RFC 9112 §3.2).",
        (
            "no host",
            "two hosts",
            "the same host twice",
            "two Hosts (2)",
            "two different Hosts",
        ),
    ),
    (
        "A Host that is no host and port is 400 (RFC 9112 §3.2); it would end in `request.url` and in links that are sent by mail.",
        (
            "a host with a path",
            "a host with userinfo",
            "a host with a space",
            "a host with a port of letters",
            "a host beyond ASCII",
            "Host with a slash",
            "Host with an at sign",
            "Host with a space",
            "Host with two ports",
            "Host that is not ASCII",
        ),
    ),
    (
        "Controls are not allowed in values (RFC 9110 §5.5); they end in logs and terminals.",
        (
            "a value with BEL",
            "a value with DEL",
            "DEL in a value",
        ),
    ),
    (
        "A line ends with CR and LF. A server may take LF alone (RFC 9112 §2.2), but a proxy that does not sees other "
        "fields, so Tercel does not.",
        (
            "lines that end with LF",
            "one line that ends with LF",
            "bare LF behind a field",
        ),
    ),
    (
        "No target by RFC 9112 §3.2: no fragment, no userinfo (RFC 9110 §4.2.4), no other scheme, a path that begins with"
        " a slash, an asterisk for OPTIONS alone, and a host in the absolute form.",
        (
            "a target with a fragment",
            "target with a fragment",
            "a target without a slash",
            "relative target",
            "an asterisk for GET",
            "asterisk and more",
            "a target with another scheme",
            "a target with userinfo",
            "absolute target without a host",
            "absolute target with userinfo",
            "absolute target with a user",
        ),
    ),
    (
        "A target consists of ASCII characters (RFC 3986 §2); others are percent-encoded.",
        ("a target beyond ASCII",),
    ),
    (
        "An origin server is no tunnel: 501 (RFC 9110 §9.3.6). Bytes behind a CONNECT belong to the tunnel, so nothing "
        "may be kept.",
        (
            "CONNECT",
            "CONNECT (2)",
        ),
    ),
    (
        "A method that no server could know is 501 (RFC 9110 §9.1), and methods are case-sensitive; an application would "
        "answer 405.",
        (
            "a method nobody knows",
            "a method in lower case",
        ),
    ),
    (
        "There is one space in each place of a request line (RFC 9112 §3). What is lenient there is read differently by "
        "two parsers.",
        (
            "two spaces",
            "two spaces after the target",
        ),
    ),
    (
        "A version that is not served is 505 (RFC 9110 §15.6.6), and HTTP/0.9 and other protocols are not taken for HTTP/1.",
        (
            "HTTP/1.2",
            "HTTP/2.0",
            "the preface of HTTP/2",
            "version 0.9",
            "no version (2)",
            "HTTP/0.9 (2)",
            "RTSP",
            "ICE",
        ),
    ),
    (
        "What cannot become a request is 400 at its first byte; hypercorn reads on up to its limit.",
        ("a megabyte of no text without an end",),
    ),
    (
        "An expectation that is not `100-continue` may be answered by 417 (RFC 9110 §10.1.1): who expects something is "
        "told that it will not be met.",
        (
            "an expectation nobody knows",
            "unknown expectation",
        ),
    ),
)

REASONS: Final[dict[str, str]] = {name: reason for reason, names in _GROUPS for name in names}

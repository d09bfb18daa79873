"""Where a server listens and whom it believes: Unix sockets, inherited sockets, TLS, proxies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.client import connect, unix_connect

from tercel.http.exchange import Exchange
from tercel.server import Server, serving
from tercel.server.sockets import BindError, bind_sockets, tls_context
from tests.protocol.peer import TEXT, WAIT_S, DirectApp, Peer, config, connected, direct_app, exchange_with, until

pytestmark = pytest.mark.anyio


async def who(ex: Exchange) -> None:
    scope = ex.scope
    await ex.respond(TEXT, f"{scope['scheme']} {scope['client']} {scope['server']}".encode())


async def echo_socket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["scheme"]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


APP = DirectApp(who, echo_socket)


# -- Unix sockets and inherited ones -------------------------------------------------------------------------------------------


async def test_a_unix_socket_serves_http_and_websocket_and_its_file_is_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "server.sock")
    async with serving(APP, config(uds=path, uds_mode=0o600)) as server:
        assert server.urls == [f"unix:{path}"]
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        peer = Peer(*await asyncio.open_unix_connection(path))
        assert (await peer.get()).body == f"http None ('{path}', None)".encode()
        await peer.close()
        async with unix_connect(path, "ws://test/") as client:
            assert await client.recv() == "ws"
            for message in ("text", b"x" * 100_000):
                await client.send(message)
                assert await client.recv() == message
    assert not os.path.exists(path)


async def test_a_stale_unix_socket_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    stale = str(tmp_path / "stale.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(stale)
    async with serving(APP, config(uds=stale)):
        with pytest.raises(BindError, match="another process is listening"):
            bind_sockets(config(uds=stale))
    precious = tmp_path / "precious"
    precious.write_text("data")
    with pytest.raises(BindError, match="exists and is not a socket"):
        bind_sockets(config(uds=str(precious)))
    assert precious.read_text() == "data"


async def test_an_inherited_socket_is_served_and_stays_the_owners() -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        async with serving(APP, config(fd=owner.fileno())) as server, connected(server) as peer:
            assert server.port == owner.getsockname()[1]
            assert (await peer.get()).status == 200
        assert owner.fileno() > 0
        assert owner.getsockname()[1] == server_port(owner)


def server_port(owner: socket.socket) -> int:
    return int(owner.getsockname()[1])


async def test_what_can_not_be_listened_on_is_said_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1:{port} is in use by another process; stop it or choose another --port"):
            bind_sockets(config(port=port))
    with pytest.raises(BindError, match="can not be resolved"):
        bind_sockets(config(host="no such host"))
    with pytest.raises(BindError, match=r"192\.0\.2\.1 is not an address of this machine"):
        bind_sockets(config(host="192.0.2.1"))
    with pytest.raises(BindError, match="file descriptor 999 is not an open socket"):
        bind_sockets(config(fd=999))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, pytest.raises(BindError, match="is not a stream socket"):
        bind_sockets(config(fd=datagrams.fileno()))


async def test_a_name_with_several_addresses_is_served_on_all_with_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def two_addresses(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 0)) for last in (1, 2)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    listeners = bind_sockets(config(host="two"))
    monkeypatch.undo()
    server = Server(APP, config())
    await server.start(listeners)
    assert server.urls == [f"http://127.0.0.{last}:{server.port}" for last in (1, 2)]
    for last in (1, 2):
        peer = Peer(*await asyncio.open_connection(f"127.0.0.{last}", server.port))
        assert (await peer.get()).status == 200
        await peer.close()
    await server.stop()


# -- TLS -----------------------------------------------------------------------------------------------------------------------


class Certificates:
    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        issued = self.authority.issue_cert("localhost")
        self.certfile, self.keyfile, self.ca = (str(folder / name) for name in ("cert.pem", "key.pem", "ca.pem"))
        issued.private_key_pem.write_to_path(self.keyfile)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(self.certfile, append=True)
        self.authority.cert_pem.write_to_path(self.ca)
        self.settings: dict[str, Any] = {"tls_certfile": self.certfile, "tls_keyfile": self.keyfile}

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


async def test_tls_serves_http_and_websocket(certificates: Certificates) -> None:
    options = {"tls_certfile": certificates.certfile, "tls_keyfile": certificates.keyfile}
    async with serving(APP, config(**options)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        async with connected(server, tls=certificates.client()) as peer:
            for _ in range(2):
                response = await peer.get()
                assert response.body.startswith(b"https ('127.0.0.1', ")
            assert peer.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            await peer.send(b"nonsense\r\n\r\n")
            assert (await peer.response()).status == 400
        async with connect(f"wss://localhost:{server.port}/", ssl=certificates.client()) as client:
            assert await client.recv() == "wss"
            for message in ("text", b"x" * 300_000):
                await client.send(message)
                assert await client.recv() == message


async def test_a_failed_tls_handshake_harms_nobody_and_logs_nothing(
    certificates: Certificates, errors: list[logging.LogRecord]
) -> None:
    options = {"tls_certfile": certificates.certfile, "tls_keyfile": certificates.keyfile}
    async with serving(APP, config(**options, tls_handshake_timeout_s=0.1)) as impatient, connected(impatient) as silent:
        assert await silent.rest() == b""
    async with serving(APP, config(**options)) as server:
        async with connected(server) as plain:
            await plain.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b"HTTP" not in await plain.rest()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connected(server, tls=ssl.create_default_context()):
                pass
        async with connected(server, tls=certificates.client()) as peer:
            assert (await peer.get()).status == 200
    assert errors == []


async def test_handshakes_that_never_end_take_a_place_for_so_long_and_no_longer(
    certificates: Certificates, errors: list[logging.LogRecord]
) -> None:
    limits = {"tls_handshake_timeout_s": 0.5, "max_connections_per_address": 20, "proxy_headers": False}
    hello_of_a_client = b"\x16\x03\x01\x02\x00\x01"  # a record of 512 bytes, of which the rest does not come
    async with serving(APP, config(**certificates.settings, **limits)) as server, contextlib.AsyncExitStack() as stack:
        unfinished = [await stack.enter_async_context(connected(server)) for _ in range(20)]
        for peer in unfinished:
            await peer.send(hello_of_a_client)
        async with connected(server) as one_too_many:
            await one_too_many.ended()
        for peer in unfinished:
            assert await peer.rest() == b""
        # All the places are free again, and there are no more than before.
        good = [await stack.enter_async_context(connected(server, tls=certificates.client())) for _ in range(20)]
        assert [(await peer.get()).status for peer in good] == [200] * 20
        async with connected(server) as one_too_many:
            await one_too_many.ended()
        assert len(server.connections) == 20
    assert errors == []


async def test_a_handshake_that_never_ends_does_not_hold_the_end_up(
    certificates: Certificates, errors: list[logging.LogRecord]
) -> None:
    times = {"tls_handshake_timeout_s": 1000, "graceful_timeout_s": 1000, "linger_timeout_s": 0.05}
    async with serving(APP, config(**certificates.settings, **times)) as server, connected(server) as silent:
        async with connected(server, tls=certificates.client()) as peer:
            assert (await peer.get()).status == 200  # the silent one is accepted by now, too
        async with asyncio.timeout(WAIT_S):
            await server.stop()
        assert await silent.rest() == b""
    assert errors == []


async def test_large_bodies_and_a_client_that_says_goodbye_over_tls(certificates: Certificates) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def handler(ex: Exchange) -> None:
        if ex.path == "/waits":
            begun.set()
            await until(lambda: ex.disconnected)
            left.set()
        else:
            await ex.respond(TEXT, await ex.body())

    async with serving(direct_app(handler), config(**certificates.settings)) as server:
        async with connected(server, tls=certificates.client()) as peer:
            body = os.urandom(3_000_000)
            for _ in range(2):
                sending = asyncio.ensure_future(
                    peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                )
                assert (await peer.response()).body == body
                await sending
            await peer.send(b"GET /waits HTTP/1.1\r\nHost: test\r\n\r\n")
            await begun.wait()
            # There is no half-closed state over TLS (RFC 8446 §6.1 allows it, servers do not): `close` sends close_notify.
            peer.writer.close()
            async with asyncio.timeout(WAIT_S):
                await left.wait()
        await until(lambda: not server.connections)


async def test_no_client_may_ask_for_another_handshake(certificates: Certificates) -> None:
    context = tls_context(config(**certificates.settings))
    assert context is not None
    assert context.options & ssl.OP_NO_RENEGOTIATION


async def test_client_certificates_are_demanded_when_asked_for(certificates: Certificates, tmp_path: Path) -> None:
    options = {
        "tls_certfile": certificates.certfile,
        "tls_keyfile": certificates.keyfile,
        "tls_ca_certs": certificates.ca,
        "tls_client_certs": "required",
    }
    async with serving(APP, config(**options)) as server:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            async with connected(server, tls=certificates.client()) as peer:
                await peer.get()
        context = certificates.client()
        certificates.authority.issue_cert("me@example.org").configure_cert(context)
        async with connected(server, tls=context) as peer:
            assert (await peer.get()).status == 200


async def test_tls_files_that_are_missing_or_wrong_are_said_in_words(certificates: Certificates) -> None:
    with pytest.raises(BindError, match=r"TLS file not found: /no/such\.pem"):
        Server(APP, config(tls_certfile="/no/such.pem"))
    with pytest.raises(BindError, match="TLS can not be set up from"):
        Server(APP, config(tls_certfile=certificates.keyfile))


# -- proxies -------------------------------------------------------------------------------------------------------------------


async def ask(peer: Peer, fields: str) -> str:
    await peer.send(f"GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode())
    return (await peer.response()).body.decode().rsplit(" (", 1)[0]


async def test_forwarding_fields_of_a_trusted_proxy_are_believed() -> None:
    async with exchange_with(direct_app(who)) as peer:
        fields = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
        assert await ask(peer, fields) == "https ('203.0.113.9', 0)"
        own = peer.writer.get_extra_info("sockname")[1]
        assert await ask(peer, "") == f"http ('127.0.0.1', {own})", "what one request says is not for the next"


@pytest.mark.parametrize("options", [{"proxy_headers": False}, {"forwarded_allow_ips": ("10.0.0.0/8",)}])
async def test_forwarding_fields_of_anybody_else_are_not(options: dict[str, Any]) -> None:
    async with exchange_with(direct_app(who), **options) as peer:
        own = peer.writer.get_extra_info("sockname")[1]
        fields = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
        assert await ask(peer, fields) == f"http ('127.0.0.1', {own})"


async def where(ex: Exchange) -> None:
    scope = ex.scope
    told = (ex.header(b"host"), scope["root_path"], scope["path"], scope["raw_path"], scope["scheme"], scope["client"][0])
    await ex.respond(TEXT, repr(told).encode())


async def test_host_and_prefix_of_a_trusted_proxy_are_believed_when_they_were_agreed_on() -> None:
    fields = "X-Forwarded-Host: example.org:8\r\nX-Forwarded-Prefix: /shop/\r\nForwarded: for=203.0.113.9;proto=https\r\n"
    request = f"GET /a%2Fb HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode()
    async with exchange_with(direct_app(where)) as peer:
        await peer.send(request)
        assert (await peer.response()).body == repr((b"test", "", "/a/b", b"/a%2Fb", "http", "127.0.0.1")).encode()
    agreed = ("x-forwarded-host", "x-forwarded-prefix", "forwarded")
    async with exchange_with(direct_app(where), forwarded_fields=agreed, root_path="/root") as peer:
        await peer.send(request)
        expected = (b"example.org:8", "/shop/root", "/shop/root/a/b", b"/shop/root/a%2Fb", "https", "203.0.113.9")
        assert (await peer.response()).body == repr(expected).encode()


async def test_a_websocket_behind_a_tls_proxy_is_wss() -> None:
    async with serving(APP, config()) as server:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        async with connect(f"ws://127.0.0.1:{server.port}/", additional_headers=headers) as client:
            assert await client.recv() == "wss"

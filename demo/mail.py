"""Mail: a `Mailer` hands messages over by SMTP, and `GET /outbox` shows what arrived.

By default it arrives at a small SMTP server inside this process (aiosmtpd on a free loopback port), so that the demo is complete
and no mail leaves the machine. With SMTP_URL it goes to a real server, and there is no outbox to look into.
"""

import asyncio
import email
import email.policy
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Annotated
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import BaseModel

from demo.errors import AppError
from demo.metrics import Metrics
from tercel import APIRouter, Depends, Query
from tercel.requests import HTTPConnection

__all__ = ["MailerDep", "open_mailer", "router"]

KEPT_MAILS = 100  # the outbox is a window, not an archive
TIMEOUT_S = 10  # for each step of the hand-over
SENDER = "demo@tercel.example"

log = logging.getLogger("demo.mail")
router = APIRouter(tags=["sign-up"])


class Mail(BaseModel):
    """A message that arrived at the sink."""

    sender: str
    to: list[str]
    subject: str
    text: str
    received_at: datetime


class Sink:
    """Takes every message. aiosmtpd calls `handle_DATA` once the client has sent one completely."""

    def __init__(self) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT_MAILS)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message.

        Returns:
            The reply to the client (RFC 5321 §4.2.3).
        """
        content = envelope.content
        message = email.message_from_bytes(content if isinstance(content, bytes) else b"", policy=email.policy.default)
        body = message.get_body(("plain",))
        mail = Mail(
            sender=envelope.mail_from or "",
            to=envelope.rcpt_tos,
            subject=str(message["Subject"] or ""),
            text=str(body.get_content()) if body else "",
            received_at=datetime.now(UTC),
        )
        self.mails.appendleft(mail)
        return "250 OK"


class Mailer:
    """Hands messages over to one SMTP server.

    Args:
        url: `smtp://` or `smtps://`, with user and password where the server wants them. STARTTLS is used when the server offers
            it.
        metrics: counts what was handed over and what was not.
        sink: our own server, when the messages go there.
    """

    def __init__(self, url: str, metrics: Metrics, sink: Sink | None = None) -> None:
        self._url = urlsplit(url)
        self._metrics = metrics
        self.sink = sink

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand one message over. Meant for the background: a failure is logged and counted, since nobody waits for it any more."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = SENDER, to, subject
        message.set_content(text)
        try:
            await aiosmtplib.send(
                message,
                hostname=self._url.hostname,
                port=self._url.port,
                username=unquote(self._url.username) if self._url.username else None,
                password=unquote(self._url.password) if self._url.password else None,
                use_tls=self._url.scheme == "smtps",
                timeout=TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError):
            self._metrics.mails_failed += 1
            log.exception("a mail could not be handed over to %s", self._url.hostname)
        else:
            self._metrics.mails_sent += 1


@asynccontextmanager
async def open_mailer(smtp_url: str | None, metrics: Metrics) -> AsyncIterator[Mailer]:
    """A mailer for the server at `smtp_url`, or for a sink that lives as long as the application."""
    if smtp_url is not None:
        yield Mailer(smtp_url, metrics)
        return
    sink = Sink()
    loop = asyncio.get_running_loop()
    # Port 0: the system picks a free one. The sink shares our event loop and needs no thread.
    server = await loop.create_server(lambda: SMTP(sink, enable_SMTPUTF8=True, loop=loop), "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield Mailer(f"smtp://127.0.0.1:{port}", metrics, sink)
    finally:
        server.close()
        await server.wait_closed()


async def get_mailer(connection: HTTPConnection) -> Mailer:
    """The application's mailer."""
    mailer: Mailer = connection.state.mailer
    return mailer


MailerDep = Annotated[Mailer, Depends(get_mailer)]


@router.get("/outbox")
async def outbox(mailer: MailerDep, limit: Annotated[int, Query(ge=1, le=KEPT_MAILS)] = 20) -> list[Mail]:
    """What arrived at the sink, newest first."""
    if mailer.sink is None:
        raise AppError(404, "NO_OUTBOX", "Mail goes to the server named by SMTP_URL.")
    return list(mailer.sink.mails)[:limit]

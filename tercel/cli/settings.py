"""The options of `tercel run` and `tercel dev`, one row for each field of `ServerConfig`; defaults stay in `ServerConfig`.

An option that is not given is not passed on, so there is one place that knows a default and its reason. To add a server setting to
the command line, add a row. This module must not know how a server is started. Read `tercel.server.config` for the fields and
`tercel.cli.commands` for the commands.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tercel.cli.errors import CommandError
from tercel.server.config import ServerConfig

__all__ = ["NOT_OPTIONS", "SETTINGS", "Setting", "build_config", "with_settings"]

_LISTEN = "Where it listens"
_TLS = "TLS"
_PROXY = "Behind a proxy"
_LOG = "Logs and headers"
_APP = "The application"
_PROCESS = "Processes"
_TIME = "Time, in seconds"
_SIZE = "Size, in bytes unless it says otherwise"
_WS = "WebSocket"


@dataclass(frozen=True, slots=True)
class Setting:
    """One option.

    Attributes:
        field: the field of `ServerConfig`.
        flags: as Typer takes them; "--x/--no-x" for a switch.
        kind: the type that the command line converts to.
        help: one line; the default is added.
        panel: the heading it stands under.
        convert: from the command line's value to the field's.
        envvar: an environment variable that process managers set and other servers read too.
        metavar: what stands for the value in the help, where the type says too little.
        in_dev: whether `tercel dev` has it.
    """

    field: str
    flags: str
    kind: Any
    help: str
    panel: str
    convert: Callable[[Any], Any] = lambda value: value
    envvar: str | None = None
    metavar: str | None = None
    in_dev: bool = False


def _octal(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        import typer

        raise typer.BadParameter(f"{text!r} is not a file mode such as 660")
    return mode


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


def _none_for_zero(value: float) -> float | None:
    return value or None


def _root_path(text: str) -> str:
    """With a slash in front and none behind, however it was typed."""
    stripped = text.strip("/")
    return f"/{stripped}" if stripped else ""


SETTINGS: tuple[Setting, ...] = (
    Setting("host", "--host", str, "Address to bind; 0.0.0.0 answers other machines too.", _LISTEN, in_dev=True),
    Setting("port", "--port", int, "TCP port; 0 takes a free one.", _LISTEN, in_dev=True),
    Setting("uds", "--uds", str, "Path of a Unix domain socket, instead of host and port.", _LISTEN),
    Setting("uds_mode", "--uds-mode", str, "Permissions of the socket file, octal.", _LISTEN, _octal),
    Setting("fd", "--fd", int, "Number of an inherited listening socket, instead of host and port.", _LISTEN),
    Setting("backlog", "--backlog", int, "Connections that may wait to be accepted.", _LISTEN),
    Setting("root_path", "--root-path", str, "Prefix that a proxy strips before it forwards.", _APP, _root_path, in_dev=True),
    Setting("lifespan", "--lifespan", Literal["auto", "on", "off"], "Whether the application's lifespan is run.", _APP),
    Setting("lifespan_shutdown_timeout_s", "--lifespan-shutdown-timeout", float, "Longest wait for shutdown code.", _TIME),
    Setting("workers", "--workers", int, "Processes that share the port.", _PROCESS, envvar="WEB_CONCURRENCY"),
    Setting("max_requests", "--max-requests", int, "Replace a process after so many responses.", _PROCESS),
    Setting("worker_silence_timeout_s", "--worker-silence-timeout", float, "Replace a worker that hangs for so long.", _TIME),
    Setting("reload", "--reload/--no-reload", bool, "Restart when a source file changes.", _PROCESS, in_dev=True),
    Setting(
        "reload_dirs",
        "--reload-dir",
        list[str],
        "Folder to watch; may be repeated.",
        _PROCESS,
        tuple,
        metavar="FOLDER",
        in_dev=True,
    ),
    Setting(
        "reload_includes",
        "--reload-include",
        list[str],
        "Files that cause a restart; may be repeated.",
        _PROCESS,
        tuple,
        metavar="PATTERN",
        in_dev=True,
    ),
    Setting(
        "reload_excludes",
        "--reload-exclude",
        list[str],
        "Files and folders that never do; may be repeated.",
        _PROCESS,
        tuple,
        metavar="PATTERN",
        in_dev=True,
    ),
    Setting(
        "graceful_timeout_s",
        "--graceful-timeout",
        float,
        "From SIGTERM to the end of patience with open requests.",
        _TIME,
        in_dev=True,
    ),
    Setting("keep_alive_timeout_s", "--keep-alive-timeout", float, "How long an idle connection is kept.", _TIME),
    Setting("head_timeout_s", "--head-timeout", float, "Longest time for a complete request head.", _TIME),
    Setting("body_timeout_s", "--body-timeout", float, "Longest pause within a request body.", _TIME),
    Setting("write_timeout_s", "--write-timeout", float, "Longest time in which a client takes nothing.", _TIME),
    Setting("linger_timeout_s", "--linger-timeout", float, "How long late bytes are discarded after the last response.", _TIME),
    Setting(
        "half_closed_timeout_s",
        "--half-closed-timeout",
        float,
        "How long a stream to a client that has closed its side may send nothing.",
        _TIME,
    ),
    Setting("tls_certfile", "--ssl-certfile", str, "PEM file with the certificate chain; switches TLS on.", _TLS, in_dev=True),
    Setting("tls_keyfile", "--ssl-keyfile", str, "PEM file with the private key.", _TLS),
    Setting(
        "tls_keyfile_password", "--ssl-keyfile-password", str, "Password of the private key.", _TLS, envvar="TERCEL_SSL_PASSWORD"
    ),
    Setting("tls_ca_certs", "--ssl-ca-certs", str, "PEM file with the authorities for client certificates.", _TLS),
    Setting(
        "tls_client_certs",
        "--ssl-client-certs",
        Literal["none", "optional", "required"],
        "Whether a client has to show a certificate.",
        _TLS,
    ),
    Setting("tls_ciphers", "--ssl-ciphers", str, "OpenSSL cipher list for TLS 1.2.", _TLS),
    Setting("tls_handshake_timeout_s", "--ssl-handshake-timeout", float, "Longest time for a handshake.", _TIME),
    Setting(
        "proxy_headers",
        "--proxy-headers/--no-proxy-headers",
        bool,
        "Believe X-Forwarded-* of trusted proxies.",
        _PROXY,
        in_dev=True,
    ),
    Setting(
        "forwarded_allow_ips",
        "--forwarded-allow-ips",
        str,
        "Trusted proxies: addresses or networks with commas between, * for all.",
        _PROXY,
        _addresses,
        envvar="FORWARDED_ALLOW_IPS",
        in_dev=True,
    ),
    Setting(
        "forwarded_fields",
        "--forwarded-field",
        list[str],
        "Field of a trusted proxy that is believed; may be repeated.",
        _PROXY,
        tuple,
        metavar="FIELD",
    ),
    Setting("access_log", "--access-log/--no-access-log", bool, "One line per response.", _LOG, in_dev=True),
    Setting(
        "log_level",
        "--log-level",
        Literal["critical", "error", "warning", "info", "debug"],
        "What is logged at least.",
        _LOG,
        in_dev=True,
    ),
    Setting("server_header", "--server-header/--no-server-header", bool, "Send `server: tercel`.", _LOG),
    Setting("date_header", "--date-header/--no-date-header", bool, "Send `date`.", _LOG),
    Setting("max_head_bytes", "--max-head-bytes", int, "Request line and headers together; 431 above.", _SIZE),
    Setting("max_headers", "--max-headers", int, "Number of request headers; 431 above.", _SIZE),
    Setting("max_target_bytes", "--max-target-bytes", int, "Request target; 414 above.", _SIZE),
    Setting("max_body_bytes", "--max-body-bytes", int, "Request body; 413 above.", _SIZE),
    Setting("max_connections", "--max-connections", int, "Open connections in one process; others wait.", _SIZE),
    Setting(
        "max_connections_per_address",
        "--max-connections-per-address",
        int,
        "Open connections from one address in one process; more are closed.",
        _SIZE,
    ),
    Setting("ws_max_message_bytes", "--ws-max-message-bytes", int, "One message; closed with 1009 above.", _WS),
    Setting("ws_max_fragments", "--ws-max-fragments", int, "Frames of one message; closed with 1008 above.", _WS),
    Setting("ws_compression", "--ws-compression/--no-ws-compression", bool, "Take offers of permessage-deflate.", _WS),
    Setting("ws_queue_policy", "--ws-queue-policy", Literal["wait", "close"], "What happens when a queue is full.", _WS),
    Setting("ws_ping_interval_s", "--ws-ping-interval", float, "Seconds between pings; 0 for none.", _WS, _none_for_zero),
    Setting("ws_pong_timeout_s", "--ws-pong-timeout", float, "Seconds until a silent peer is dropped.", _WS),
    Setting("ws_close_timeout_s", "--ws-close-timeout", float, "Seconds for the closing handshake.", _WS),
    Setting(
        "ws_unaware_timeout_s",
        "--ws-unaware-timeout",
        float,
        "Seconds for an endpoint that has not noticed that its WebSocket is over, when the server stops.",
        _WS,
    ),
    Setting(
        "ws_allowed_origins",
        "--ws-allowed-origin",
        list[str],
        "Origin that may open a WebSocket; may be repeated.",
        _WS,
        tuple,
        metavar="ORIGIN",
    ),
)

NOT_OPTIONS = {
    # Sizes of buffers: changing one without measuring makes things worse, and who measures uses the Python interface.
    "look_ahead_bytes",
    "body_buffer_bytes",
    "discard_body_bytes",
    "write_high_water_bytes",
    "write_low_water_bytes",
    "gather_bytes",
    "ws_queue_bytes",
    "ws_queue_messages",
}


def with_settings(command: Callable[..., Any], settings: Iterable[Setting], defaults: Mapping[str, Any]) -> Callable[..., Any]:
    """The command with one more option for each setting; it receives them together as `settings`, only those that were given.

    Args:
        command: a function whose last parameter is `settings`.
        settings: rows of `SETTINGS`.
        defaults: values by field that this command has in place of those of `ServerConfig`.
    """
    rows = list(settings)

    def run_command(**values: Any) -> Any:
        given: dict[str, Any] = dict(defaults)
        for row in rows:
            value = values.pop(row.field)
            if value is not None and value != []:
                given[row.field] = row.convert(value)
        return command(**values, settings=given)

    signature = inspect.signature(command, eval_str=True)
    kept = [parameter for name, parameter in signature.parameters.items() if name != "settings"]
    options = [
        inspect.Parameter(row.field, inspect.Parameter.KEYWORD_ONLY, annotation=row.kind | None, default=_option(row, defaults))
        for row in rows
    ]
    made = [*(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept), *options]
    run_command.__signature__ = signature.replace(parameters=made)  # type: ignore[attr-defined]
    run_command.__annotations__ = {parameter.name: parameter.annotation for parameter in made}
    run_command.__doc__ = command.__doc__
    run_command.__name__ = command.__name__
    return run_command


def _option(row: Setting, defaults: Mapping[str, Any]) -> Any:
    import typer  # as late as possible: a server that is started with plain words does without

    shown = _shown_default(row, defaults)
    return typer.Option(
        None,
        row.flags,
        help=f"{row.help} Default: {shown}" if shown else row.help,
        rich_help_panel=row.panel,
        envvar=row.envvar,
        metavar=row.metavar,
        show_default=False,
    )


def _shown_default(row: Setting, defaults: Mapping[str, Any]) -> str:
    value = defaults.get(row.field, _FIELDS[row.field].default)
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if row.field == "uds_mode":
        return f"{value:o}"
    return ", ".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def build_config(settings: Mapping[str, Any]) -> ServerConfig:
    """The server's settings from the options that were given.

    Raises:
        CommandError: a value is out of range or two contradict each other; the message names the options, not the fields.
    """
    try:
        return ServerConfig(**settings)
    except ValueError as error:
        message = str(error)
        for row in sorted(SETTINGS, key=lambda row: -len(row.field)):
            message = re.sub(rf"(?<![\w-]){row.field}(?![\w-])", row.flags.split("/")[0], message)
        raise CommandError(message) from None


_FIELDS = {field.name: field for field in dataclasses.fields(ServerConfig)}

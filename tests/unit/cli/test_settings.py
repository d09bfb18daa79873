"""The options of `run` and `dev`: complete, with the defaults of the server, and refused in the words of the command line."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tercel.cli.errors import CommandError
from tercel.cli.settings import NOT_OPTIONS, SETTINGS, build_config, with_settings
from tercel.server.config import ServerConfig

FIELDS = {field.name: field for field in dataclasses.fields(ServerConfig)}


def given(*arguments: str, env: dict[str, str] | None = None, defaults: dict[str, Any] | None = None) -> dict[str, Any]:
    """The settings that a command with all options receives."""
    received: list[dict[str, Any]] = []

    def command(settings: dict[str, Any]) -> None:
        received.append(settings)

    app = typer.Typer()
    app.command()(with_settings(command, SETTINGS, defaults or {}))
    result = CliRunner().invoke(app, list(arguments), env={"WEB_CONCURRENCY": None, "FORWARDED_ALLOW_IPS": None, **(env or {})})
    assert result.exit_code == 0, result.output
    return received[0]


def test_every_field_of_the_server_is_an_option_or_left_out_on_purpose() -> None:
    fields = [row.field for row in SETTINGS]
    assert len(fields) == len(set(fields))
    assert set(fields) | NOT_OPTIONS == set(FIELDS)
    assert not set(fields) & NOT_OPTIONS


def test_no_two_options_share_a_flag() -> None:
    flags = [flag for row in SETTINGS for flag in row.flags.split("/")]
    assert len(flags) == len(set(flags))


def test_what_is_not_given_is_left_to_the_server() -> None:
    assert given() == {}
    assert build_config(given()) == ServerConfig()


def test_options_become_fields_with_their_units() -> None:
    config = build_config(
        given(
            *("--host", "0.0.0.0", "--port", "0", "--graceful-timeout", "2.5", "--max-body-bytes", "0", "--no-access-log"),
            *("--ssl-certfile", "c.pem", "--ssl-keyfile", "k.pem", "--log-level", "debug", "--lifespan", "off", "--workers", "3"),
        )
    )
    expected = ServerConfig(
        host="0.0.0.0",
        port=0,
        graceful_timeout_s=2.5,
        max_body_bytes=0,
        access_log=False,
        tls_certfile="c.pem",
        tls_keyfile="k.pem",
        log_level="debug",
        lifespan="off",
        workers=3,
    )
    assert config == expected


def test_repeated_options_become_tuples() -> None:
    assert given("--reload-dir", "a", "--reload-dir", "b", "--ws-allowed-origin", "https://example.org") == {
        "reload_dirs": ("a", "b"),
        "ws_allowed_origins": ("https://example.org",),
    }


def test_trusted_proxies_are_separated_by_commas_or_spaces() -> None:
    assert given("--forwarded-allow-ips", "10.0.0.0/8, ::1")["forwarded_allow_ips"] == ("10.0.0.0/8", "::1")


def test_variables_that_process_managers_set_are_read() -> None:
    assert given(env={"WEB_CONCURRENCY": "2", "FORWARDED_ALLOW_IPS": "*"}) == {"workers": 2, "forwarded_allow_ips": ("*",)}


@pytest.mark.parametrize("typed", ["api", "/api", "/api/"])
def test_a_root_path_may_be_typed_with_or_without_slashes(typed: str) -> None:
    assert given("--root-path", typed) == {"root_path": "/api"}


def test_a_ping_interval_of_zero_means_no_pings() -> None:
    assert given("--ws-ping-interval", "0") == {"ws_ping_interval_s": None}


def test_a_socket_mode_is_octal() -> None:
    assert given("--uds-mode", "660") == {"uds_mode": 0o660}


def test_a_command_may_have_defaults_of_its_own_that_an_option_overrides() -> None:
    assert given(defaults={"reload": True}) == {"reload": True}
    assert given("--no-reload", defaults={"reload": True}) == {"reload": False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 70000}, "--port must be between 0 and 65535"),
        ({"tls_keyfile": "k.pem"}, "--ssl-keyfile needs --ssl-certfile"),
        ({"reload": True, "workers": 2}, "--reload and --workers exclude each other"),
        ({"ws_ping_interval_s": -1.0}, "--ws-ping-interval must be greater than 0"),
    ],
)
def test_a_refused_value_is_named_by_its_option(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        build_config(settings)

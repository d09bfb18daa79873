"""Settings that contradict themselves are refused when they are made."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tercel.server import ServerConfig


def test_the_defaults_are_accepted() -> None:
    config = ServerConfig()
    assert (config.host, config.port, config.workers) == ("127.0.0.1", 8000, 1)


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ServerConfig().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": -1}, "port must be between 0 and 65535"),
        ({"port": 65_536}, "port must be between 0 and 65535"),
        ({"workers": 0}, "workers must be greater than 0"),
        ({"head_timeout_s": 0}, "head_timeout_s must be greater than 0"),
        ({"max_head_bytes": -1}, "max_head_bytes must be greater than 0"),
        ({"max_body_bytes": -1}, "max_body_bytes must not be negative"),
        ({"max_connections": 0}, "max_connections must be greater than 0, or None"),
        ({"ws_ping_interval_s": 0}, "ws_ping_interval_s must be greater than 0, or None"),
        ({"graceful_timeout_s": -1}, "graceful_timeout_s must not be negative"),
        ({"write_low_water_bytes": 10, "write_high_water_bytes": 9}, "write_low_water_bytes must not exceed"),
        ({"tls_keyfile": "key.pem"}, "tls_keyfile needs tls_certfile"),
        ({"tls_client_certs": "required"}, "tls_client_certs needs tls_ca_certs"),
        ({"root_path": "api"}, "root_path must start with a slash"),
        ({"root_path": "/api/"}, "root_path must start with a slash and not end with one"),
        ({"reload": True, "workers": 2}, "reload and workers exclude each other"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerConfig(**options)


@pytest.mark.parametrize("options", [{"max_body_bytes": 0}, {"graceful_timeout_s": 0}, {"write_low_water_bytes": 0}, {"port": 0}])
def test_zero_is_allowed_where_it_means_something(options: dict[str, Any]) -> None:
    assert ServerConfig(**options)


def test_settings_survive_the_way_to_a_worker() -> None:
    config = ServerConfig(uds="/run/x", forwarded_allow_ips=("10.0.0.0/8",), ws_ping_interval_s=None)
    sent = json.loads(json.dumps(dataclasses.asdict(config)))
    assert ServerConfig(**{name: tuple(value) if isinstance(value, list) else value for name, value in sent.items()}) == config


def test_every_number_says_its_unit_or_counts_things() -> None:
    counts = {"port", "fd", "uds_mode", "backlog", "max_headers", "max_connections", "max_requests", "workers", "ws_queue_messages"}
    counts |= {"ws_max_fragments", "max_connections_per_address"}
    for field in dataclasses.fields(ServerConfig):
        if field.type in ("int", "float", "int | None", "float | None"):
            assert field.name in counts or field.name.endswith(("_s", "_bytes")), field.name

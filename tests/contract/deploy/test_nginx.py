"""The reverse proxy has the limits that are the recommender's defaults."""

from __future__ import annotations

import re

from config.http_settings import HttpSettings
from config.settings import ROOT
from serving.http.access_policy import DEFAULT_REQUESTS_PER_S
from serving.service import TIMEOUT_S
from web.rate_limit import BURST_S

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}
LINES = [line.strip() for line in (ROOT / "deploy" / "nginx" / "segue.conf").read_text().splitlines()]


def value(directive: str) -> str:
    """The arguments of a directive that occurs once."""
    (found,) = [line for line in LINES if line.startswith(f"{directive} ")]
    return found.removeprefix(directive).removesuffix(";").strip()


def size(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([km]?)", text).groups()
    return int(number) * UNITS[unit]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_limits_equal_the_defaults_of_the_settings() -> None:
    defaults = HttpSettings()
    count, buffer = value("large_client_header_buffers").split()
    assert int(count) * size(buffer) == defaults.max_header_bytes
    assert size(value("client_max_body_size")) == defaults.max_body_bytes
    assert seconds(value("client_header_timeout")) == defaults.header_timeout_s
    assert seconds(value("client_body_timeout")) == defaults.body_timeout_s
    assert seconds(value("send_timeout")) == defaults.send_timeout_s
    assert value("limit_conn") == f"segue_connections {defaults.client_requests}"
    assert f"rate={DEFAULT_REQUESTS_PER_S}r/s" in value("limit_req_zone")
    assert f"burst={DEFAULT_REQUESTS_PER_S * BURST_S} nodelay" in value("limit_req")
    assert seconds(value("proxy_read_timeout")) > TIMEOUT_S


def test_the_proxy_replaces_the_forwarded_address() -> None:
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in LINES
    assert not any("$proxy_add_x_forwarded_for" in line for line in LINES)


def test_braces_and_semicolons_are_complete() -> None:
    assert all(not line or line.startswith("#") or line[-1] in ";{}" for line in LINES)
    assert sum(line.endswith("{") for line in LINES) == sum(line == "}" for line in LINES)

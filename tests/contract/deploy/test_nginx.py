"""The reverse proxy has the limits that are the recommender's defaults."""

from __future__ import annotations

import re

from config.settings import DEFAULT_REQUESTS_PER_S, ROOT, HttpSettings
from serving.service import TIMEOUT_S
from web.rate_limit import BURST_S

FOLDER = ROOT / "deploy" / "nginx"
LIMITS = dict(re.findall(r"^ *(\w+) (.*);$", (FOLDER / "limits.conf").read_text(), re.MULTILINE))
"""Directive → arguments; of one that occurs several times, the last."""


def test_limits_equal_the_defaults_of_the_settings() -> None:
    defaults = HttpSettings()
    assert LIMITS["client_max_body_size"] == f"{defaults.max_body_bytes >> 20}m"
    assert LIMITS["client_body_timeout"] == f"{defaults.body_timeout_s}s"
    assert LIMITS["limit_conn"] == f"segue_connections {defaults.client_requests}"
    assert LIMITS["limit_req"] == f"zone=segue_requests burst={DEFAULT_REQUESTS_PER_S * BURST_S} nodelay"
    assert int(LIMITS["proxy_read_timeout"].removesuffix("s")) > TIMEOUT_S
    for name in ("segue.conf", "compose.conf"):
        assert f"rate={DEFAULT_REQUESTS_PER_S}r/s;" in (FOLDER / name).read_text()

"""Options of uvicorn that BentoML does not pass on."""

from __future__ import annotations

import os
from collections.abc import Sequence

from uvicorn.config import HTTP_PROTOCOLS, WS_PROTOCOLS


def configure_uvicorn(trusted_proxies: Sequence[str]) -> None:
    """Make uvicorn servers that start later in this process limit headers, accept no WebSockets, and believe
    `X-Forwarded-For` of the trusted proxies only.
    """
    # By default uvicorn trusts every program of this machine.
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(trusted_proxies)
    # The default parser, httptools, buffers headers without end; h11 ends the connection after 16 KiB.
    HTTP_PROTOCOLS["auto"] = HTTP_PROTOCOLS["h11"]
    # Access control is for HTTP requests only.
    WS_PROTOCOLS["auto"] = WS_PROTOCOLS["none"]

"""Addresses that services listen on. The rule: loopback, or another address with an explicit opt-in and a credential; the
recommender also behind a proxy, because only a proxy limits slow clients.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from config.settings import (
    HttpSettings,
    SettingError,
    Settings,
    is_loopback,
    load_api_keys,
    load_jwt_settings,
    load_operator_password,
)

_CREDENTIALS: dict[str, tuple[str, Callable[[], bool]]] = {
    "recommender": ("SEGUE_API_KEYS=KEY (or SEGUE_JWT_KEY_FILE)", lambda: bool(load_api_keys() or load_jwt_settings())),
    "mlflow": ("SEGUE_OPERATOR_PASSWORD=PASSWORD", lambda: bool(load_operator_password())),
    "pages": ("SEGUE_OPERATOR_PASSWORD=PASSWORD", lambda: bool(load_operator_password())),
}
"""Service → the setting of its credential, and whether it is set. Airflow always has a password."""


def check_bind_address(settings: Settings, service: str) -> None:
    """Check that a service may listen on the host of the settings.

    Raises:
        SettingError: Other machines could reach the service, and the opt-in, its credential or the recommender's proxy is missing;
            the message names what to set.
    """
    if is_loopback(settings.host):
        return
    setting, is_set = _CREDENTIALS.get(service, ("", lambda: True))
    missing = [] if settings.allow_remote else ["SEGUE_ALLOW_REMOTE=yes"]
    missing += [] if is_set() else [setting]
    if service == "recommender" and not (settings.without_proxy or HttpSettings().trusted_proxies):
        missing.append("SEGUE_TRUSTED_PROXIES=ADDRESS of a reverse proxy (or SEGUE_WITHOUT_PROXY=yes)")
    if missing:
        raise SettingError(
            f"SEGUE_HOST={settings.host!r} would open {service} to every machine that reaches this address; if that is intended, "
            f"set {' and '.join(missing)}; otherwise unset SEGUE_HOST for 127.0.0.1"
        )


def check_port_is_free(settings: Settings, service: str, port: int, setting: str) -> None:
    """Check that no other program listens on the port of a service. Other problems of the address are left to the server.

    Raises:
        SettingError: Another program listens on it; the message names the port and its setting.
    """
    if not is_free(settings.host, port):
        raise SettingError(
            f"port {port} on {settings.host}, where {service} should listen, is taken by another program; if that "
            f"is a running Segue, `make stop` ends it; otherwise choose another port: {setting}=NUMBER"
        )


def is_free(host: str, port: int) -> bool:
    """Whether no program listens on `host:port`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Like a server, which may start while connections of its predecessor are closing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def wait_until_free(host: str, port: int, timeout_s: float = 10) -> None:
    """Return when the port is free, or after `timeout_s`: a killed program releases its port with a delay."""
    deadline = time.monotonic() + timeout_s
    while not is_free(host, port) and time.monotonic() < deadline:
        time.sleep(0.1)

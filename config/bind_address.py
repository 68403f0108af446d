"""The rule for the addresses that services listen on: loopback, or another address with an explicit opt-in and a credential."""

from __future__ import annotations

from collections.abc import Callable

from config.jwt_settings import load_jwt_settings
from config.settings import SettingError, Settings, is_loopback, load_api_keys, load_operator_password

_CREDENTIALS: dict[str, tuple[str, Callable[[], bool]]] = {
    "recommender": ("SEGUE_API_KEYS=KEY (or SEGUE_JWT_KEY_FILE)", lambda: bool(load_api_keys() or load_jwt_settings())),
    "mlflow": ("SEGUE_OPERATOR_PASSWORD=PASSWORD", lambda: bool(load_operator_password())),
    "pages": ("SEGUE_OPERATOR_PASSWORD=PASSWORD", lambda: bool(load_operator_password())),
}
"""Service → the setting of its credential, and whether it is set. Airflow always has a password; a consumer serves metrics only."""


def check_bind_address(settings: Settings, service: str) -> None:
    """Check that a service may listen on the host of the settings.

    Raises:
        SettingError: Other machines could reach the service, and the opt-in or its credential is missing; the message names
            what to set.
    """
    if is_loopback(settings.host):
        return
    setting, is_set = _CREDENTIALS.get(service, ("", lambda: True))
    missing = [] if settings.allow_remote else ["SEGUE_ALLOW_REMOTE=yes"]
    missing += [] if is_set() else [setting]
    if missing:
        raise SettingError(
            f"SEGUE_HOST={settings.host!r} would open {service} to every machine that reaches this address; if that is intended, "
            f"set {' and '.join(missing)}; otherwise unset SEGUE_HOST for 127.0.0.1"
        )

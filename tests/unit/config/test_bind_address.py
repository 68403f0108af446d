"""Services listen on other addresses than loopback only with the opt-in and a credential."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest

from config import settings
from config.bind_address import check_bind_address
from local import services

OPT_IN, PASSWORD, KEY = "SEGUE_ALLOW_REMOTE", "SEGUE_OPERATOR_PASSWORD", "SEGUE_API_KEYS"
PROXIES, NO_PROXY = "SEGUE_TRUSTED_PROXIES", "SEGUE_WITHOUT_PROXY"
ALLOWED, PROXY = {OPT_IN: "yes"}, {PROXIES: "10.0.0.1"}
TOKENS = {"SEGUE_JWT_KEY_FILE": __file__, "SEGUE_JWT_ISSUER": "i", "SEGUE_JWT_AUDIENCE": "a"}
CREDENTIALS = {"recommender": {KEY: "k" * 20}, "mlflow": {PASSWORD: "k" * 20}, "pages": {PASSWORD: "k" * 20}}
NAMES = [service.name for service in services.SERVICES]
REMOTE = ("0.0.0.0", "::", "10.0.0.7", "::ffff:127.0.0.1.example", "machine")


@pytest.mark.parametrize(
    ("service", "host", "variables", "missing"),
    [
        *((name, host, {}, []) for name in NAMES for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost")),
        *((name, host, ALLOWED | PROXY | CREDENTIALS.get(name, {}), []) for name in NAMES for host in REMOTE),
        *((name, host, PROXY | CREDENTIALS.get(name, {}), [f"{OPT_IN}=yes"]) for name in NAMES for host in REMOTE),
        *(
            (name, host, ALLOWED | PROXY, [f"{setting}="])
            for name, credential in CREDENTIALS.items()
            for setting in credential
            for host in REMOTE
        ),
        ("recommender", "0.0.0.0", ALLOWED | CREDENTIALS["recommender"], [f"{PROXIES}=", f"{NO_PROXY}=yes"]),
        ("recommender", "0.0.0.0", ALLOWED | CREDENTIALS["recommender"] | {NO_PROXY: "yes"}, []),
        ("recommender", "0.0.0.0", ALLOWED | PROXY | TOKENS, []),
    ],
)
def test_other_addresses_than_loopback_need_an_opt_in_a_credential_and_a_proxy(
    monkeypatch: pytest.MonkeyPatch, service: str, host: str, variables: dict[str, str], missing: list[str]
) -> None:
    for name, value in ({"SEGUE_HOST": host} | variables).items():
        monkeypatch.setenv(name, value)
    is_refused = pytest.raises(settings.SettingError, match=f"SEGUE_HOST='{re.escape(host)}' would open {service}")
    with is_refused if missing else nullcontext() as error:
        check_bind_address(settings.load_settings(), service)
    assert [text for text in missing if text not in str(error.value)] == []


def test_nothing_starts_on_another_address_without_opt_in(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEGUE_HOST", "0.0.0.0")
    with pytest.raises(settings.SettingError, match=OPT_IN):
        services.start(settings.load_settings())
    assert not (tmp_path / "home").exists()

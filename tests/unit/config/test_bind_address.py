"""Services listen on other addresses than loopback only with the opt-in and a credential."""

from __future__ import annotations

import pytest

from config import settings
from config.bind_address import check_bind_address
from local import services

OPT_IN, PASSWORD, KEY = "SEGUE_ALLOW_REMOTE", "SEGUE_OPERATOR_PASSWORD", "SEGUE_API_KEYS"
PROXIES, NO_PROXY = "SEGUE_TRUSTED_PROXIES", "SEGUE_WITHOUT_PROXY"
CREDENTIALS = {"recommender": KEY, "mlflow": PASSWORD, "pages": PASSWORD}
NAMES = [service.name for service in services.SERVICES]


def check(monkeypatch: pytest.MonkeyPatch, service: str, host: str, **variables: str) -> None:
    with monkeypatch.context() as patch:
        for name, value in ({"SEGUE_HOST": host} | variables).items():
            patch.setenv(name, value)
        check_bind_address(settings.load_settings(), service)


@pytest.mark.parametrize("service", NAMES)
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_nothing(monkeypatch: pytest.MonkeyPatch, service: str, host: str) -> None:
    check(monkeypatch, service, host)


@pytest.mark.parametrize("service", NAMES)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "::ffff:127.0.0.1.example", "machine"])
def test_other_addresses_need_opt_in_and_credential(monkeypatch: pytest.MonkeyPatch, service: str, host: str) -> None:
    monkeypatch.setenv(PROXIES, "10.0.0.1")
    credential = {CREDENTIALS[service]: "k" * 20} if service in CREDENTIALS else {}
    check(monkeypatch, service, host, **{OPT_IN: "yes"}, **credential)
    with pytest.raises(settings.SettingError, match=rf"SEGUE_HOST='{host}' .*{service}.*{OPT_IN}=yes"):
        check(monkeypatch, service, host, **credential)
    if credential:
        with pytest.raises(settings.SettingError, match=rf"{CREDENTIALS[service]}=.*unset SEGUE_HOST"):
            check(monkeypatch, service, host, **{OPT_IN: "yes"})


def test_recommender_on_another_address_needs_a_proxy_or_the_setting_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allowed = {OPT_IN: "yes", KEY: "k" * 20}
    check(monkeypatch, "recommender", "0.0.0.0", **allowed, **{NO_PROXY: "yes"})
    with pytest.raises(settings.SettingError, match=f"{PROXIES}=.*{NO_PROXY}=yes"):
        check(monkeypatch, "recommender", "0.0.0.0", **allowed)


def test_user_tokens_are_a_credential_of_the_recommender(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "key").touch()
    variables = {
        OPT_IN: "yes",
        PROXIES: "10.0.0.1",
        "SEGUE_JWT_KEY_FILE": str(tmp_path / "key"),
        "SEGUE_JWT_ISSUER": "i",
        "SEGUE_JWT_AUDIENCE": "a",
    }
    check(monkeypatch, "recommender", "0.0.0.0", **variables)


def test_short_password_is_rejected_without_revealing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load_operator_password() == ""
    monkeypatch.setenv(PASSWORD, "short")
    with pytest.raises(settings.SettingError, match=PASSWORD) as error:
        settings.load_operator_password()
    assert "short" not in str(error.value)


def test_nothing_starts_on_another_address_without_opt_in(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEGUE_HOST", "0.0.0.0")
    with pytest.raises(settings.SettingError, match=OPT_IN):
        services.start(settings.load_settings())
    assert not (tmp_path / "home").exists()

"""Settings of the HTTP layer: limits, origins, proxies and the internal token."""

from __future__ import annotations

import pytest

from config.settings import HttpSettings, SettingError


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_ALLOWED_ORIGINS", "https://music.example.org, http://[::1]:8090,")
    monkeypatch.setenv("SEGUE_TRUSTED_PROXIES", "10.0.0.7, 10.1.0.0/16, ::1")
    monkeypatch.setenv("SEGUE_BODY_TIMEOUT_S", "7")
    assert HttpSettings() == HttpSettings(
        body_timeout_s=7,
        allowed_origins=("https://music.example.org", "http://[::1]:8090"),
        trusted_proxies=("10.0.0.7", "10.1.0.0/16", "::1"),
    )


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("SEGUE_ALLOWED_ORIGINS", "*"),
        ("SEGUE_ALLOWED_ORIGINS", "null"),
        ("SEGUE_ALLOWED_ORIGINS", "music.example.org"),
        ("SEGUE_ALLOWED_ORIGINS", "https://music.example.org/"),
        ("SEGUE_ALLOWED_ORIGINS", "https://Music.example.org"),
        ("SEGUE_TRUSTED_PROXIES", "*"),
        ("SEGUE_TRUSTED_PROXIES", "proxy"),
        ("SEGUE_TRUSTED_PROXIES", "10.0.0.7/8"),
        ("SEGUE_MAX_BODY_BYTES", "1MB"),
        ("SEGUE_BODY_TIMEOUT_S", "301"),
        ("SEGUE_CLIENT_REQUESTS", "-1"),
    ],
)
def test_invalid_value_is_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch, name: str, bad: str) -> None:
    monkeypatch.setenv(name, bad)
    with pytest.raises(SettingError, match=name):
        HttpSettings()

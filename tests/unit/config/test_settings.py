"""Settings are read from the environment; errors name the setting and the remedy, and nothing secret."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from config import settings
from config.settings import (
    HttpSettings,
    Lifetimes,
    load_api_keys,
    load_jwt_settings,
    load_music_server,
    load_operator_password,
    load_settings,
)
from config.tool_environment import tool_environment
from ingestion import land
from serving.http.access_policy import load_rate_limit

SERVER, ACCOUNTS, ALLOW_HTTP = "SEGUE_SUBSONIC_URL", "SEGUE_SUBSONIC_ACCOUNTS_FILE", "SEGUE_SUBSONIC_ALLOW_HTTP"
TWO_ACCOUNTS = {ACCOUNTS: "me=alice:hidden=word, with:all \nyou=bob:b"}
TOKENS = {"SEGUE_JWT_KEY_FILE": "key", "SEGUE_JWT_ISSUER": "i", "SEGUE_JWT_AUDIENCE": "a"}
KEYS = ("k" * 10 + "hidden", "o" * 20)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]) -> None:
    """Sets the variables of a case. One that ends with `_FILE` names a file with the text, or without a text no file."""
    for name, value in variables.items():
        file = tmp_path / name
        if name.endswith("_FILE"):
            monkeypatch.setenv(name, str(file))
            if value:
                file.write_text(value)
        else:
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("load", "variables", "expected"),
    [
        (load_settings, {}, {"host": "127.0.0.1", "event_store": ""}),
        (load_settings, {"SEGUE_EVENT_STORE": "redis://hidden@h:1/2"}, {"event_store": "redis://hidden@h:1/2"}),
        (
            HttpSettings,
            {
                "SEGUE_ALLOWED_ORIGINS": "https://music.example.org, http://[::1]:8090,",
                "SEGUE_TRUSTED_PROXIES": "10.0.0.7, 10.1.0.0/16, ::1",
                "SEGUE_BODY_TIMEOUT_S": "7",
            },
            {
                "allowed_origins": ("https://music.example.org", "http://[::1]:8090"),
                "trusted_proxies": (ip_address("10.0.0.7"), ip_network("10.1.0.0/16"), ip_address("::1")),
                "body_timeout_s": 7,
            },
        ),
        (Lifetimes, {"SEGUE_KEEP_RELEASES_DAYS": "5"}, {"releases": 5}),
        (load_rate_limit, {"SEGUE_HOST": "0.0.0.0"}, {"per_s": 100}),
        (load_rate_limit, {"SEGUE_HOST": "0.0.0.0", "SEGUE_REQUESTS_PER_S": "7"}, {"per_s": 7}),
        *(
            (
                load_music_server,
                TWO_ACCOUNTS | {SERVER: url, ALLOW_HTTP: allowed},
                {"url": url.rstrip("/"), "accounts": {"me": ("alice", "hidden=word, with:all"), "you": ("bob", "b")}},
            )
            for url, allowed in (
                ("http://[::1]:4533/", ""),
                ("https://host/music/", ""),
                ("http://navidrome:4533", "yes"),
            )
        ),
    ],
)
@pytest.mark.usefixtures("environment")
def test_values_of_settings(load, variables, expected) -> None:
    loaded = load()
    assert {name: getattr(loaded, name) for name in expected} == expected
    assert "hidden" not in repr(loaded)


@pytest.mark.parametrize(
    ("variables", "keys"),
    [({}, ()), ({"SEGUE_API_KEYS": f"{KEYS[0]}, ", "SEGUE_API_KEYS_FILE": f"{KEYS[1]}\n\n"}, KEYS)],
)
@pytest.mark.usefixtures("environment")
def test_keys_are_read_from_environment_and_file_and_not_printed(variables, keys) -> None:
    assert load_api_keys() == keys
    assert "hidden" not in repr(settings.AccessSettings())


def cases(load, name, *bad, others=None):
    """A case per invalid value of a variable."""
    message = r"{}=.{}. .*; correct it, or unset it"
    return [(load, (others or {}) | {name: value}, message.format(name, re.escape(value))) for value in bad]


@pytest.mark.parametrize(
    ("load", "variables", "message"),
    [
        *cases(load_settings, "SEGUE_MLFLOW_PORT", "0", "65536", "http", "-1", "80.5"),
        *cases(load_settings, "SEGUE_FEATURE_LOG_SHARE", "1.5", "-1", "some", "nan"),
        *cases(load_settings, "SEGUE_TERRITORY", "Germany", "D1"),
        *cases(load_settings, "SEGUE_EXPLICIT", "maybe"),
        *cases(load_settings, "SEGUE_RECALL_DEADLINE_MS", "0", "30001", "soon", "1.5", "²"),
        *cases(load_settings, "SEGUE_SERVICE_HOSTS", "airflow", "airflow=", "web=host", "airflow=http://host"),
        *cases(load_settings, "SEGUE_SERVICE_HOSTS", "airflow=a,,mlflow=b"),
        *cases(load_settings, "SEGUE_SIMULATED_LAST_DAY", "yesterday", "2026-02-30"),
        *cases(load_settings, "SEGUE_RELEASE_PUBLIC_KEY", "/none"),
        *cases(load_settings, "SEGUE_MEDIA_ROOT", "/none"),
        *cases(load_settings, "SEGUE_TABLES", "bucket", "/bucket", "s3://", "gs://bucket/x", "s3://bucket/a b"),
        *cases(load_settings, "SEGUE_TABLES", "s3://bucket/it's", "s3://bucket//x"),
        (load_settings, {"SEGUE_EVENT_STORE": "amqp://user:hidden@host"}, "SEGUE_EVENT_STORE"),
        *cases(HttpSettings, "SEGUE_ALLOWED_ORIGINS", "*", "null", "music.example.org", "https://music.example.org/"),
        *cases(HttpSettings, "SEGUE_ALLOWED_ORIGINS", "https://Music.example.org"),
        *cases(HttpSettings, "SEGUE_TRUSTED_PROXIES", "*", "proxy", "10.0.0.7/8"),
        *cases(HttpSettings, "SEGUE_MAX_BODY_BYTES", "1MB"),
        *cases(HttpSettings, "SEGUE_BODY_TIMEOUT_S", "301"),
        *cases(HttpSettings, "SEGUE_CLIENT_REQUESTS", "-1"),
        *cases(load_rate_limit, "SEGUE_REQUESTS_PER_S", "many"),
        *cases(Lifetimes, "SEGUE_KEEP_LANDED_DAYS", "27"),
        *cases(load_jwt_settings, "SEGUE_JWT_ALGORITHMS", "none", "RS256,HS512", others=TOKENS),
        *cases(load_jwt_settings, "SEGUE_JWT_LEEWAY_S", "61", others=TOKENS),
        *((load_jwt_settings, TOKENS | {name: ""}, name) for name in TOKENS),
        (load_api_keys, {"SEGUE_API_KEYS_FILE": ""}, "SEGUE_API_KEYS_FILE"),
        (load_operator_password, {"SEGUE_OPERATOR_PASSWORD": "hidden"}, "SEGUE_OPERATOR_PASSWORD has 6 characters"),
        (load_music_server, {ACCOUNTS: "me=a:b"}, "no music server is configured; set SEGUE_SUBSONIC_URL"),
        (load_music_server, {SERVER: "https://music.example.org"}, "no music server is configured"),
        (load_music_server, {SERVER: "http://host", ACCOUNTS: "me=a:hidden"}, f"not encrypted.*{ALLOW_HTTP}=yes"),
        (load_music_server, {SERVER: "http://me:hidden@localhost", ACCOUNTS: "me=a:b"}, "not the address of a server"),
        (load_music_server, {SERVER: "http://localhost", ACCOUNTS: "me=a:b\n\nme:hidden"}, f"line 2 of {ACCOUNTS} is"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_invalid_values_are_errors_that_name_the_variable_and_the_remedy(load, variables, message) -> None:
    with pytest.raises(settings.SettingError, match=message) as error:
        load()
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("name", ["anna's home", "home [1]", "*", "what?"])
def test_a_home_that_sql_would_misread_is_an_error_that_names_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / name))
    with pytest.raises(settings.SettingError, match=r"contains the character .*; set SEGUE_HOME to a path without"):
        load_settings()
    assert land.main([str(tmp_path)]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err and not (tmp_path / name).exists()
    assert settings.check_home(tmp_path / "anna @home (1)") == tmp_path / "anna @home (1)"


def test_all_written_files_are_below_the_home_folder(here: settings.Settings, tmp_path: Path) -> None:
    properties = [name for name, value in vars(settings.Settings).items() if isinstance(value, property)]
    folders = [value for name in properties if isinstance(value := getattr(here, name), Path)]
    assert len(folders) > 8
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


@pytest.mark.usefixtures("here")
def test_tables_are_in_the_home_folder_or_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEGUE_TABLES", raising=False)
    assert load_settings().marts == tmp_path / "marts"
    monkeypatch.setenv("SEGUE_TABLES", "s3://bucket/of/ours/")
    here = load_settings()
    assert [str(place) for place in (here.landing, here.quarantine, here.marts)] == [
        f"s3://bucket/of/ours/{name}" for name in ("landing", "quarantine", "marts")
    ]
    assert here.built_marts.parent == here.suppression_list.parent == tmp_path
    variables = tool_environment(here)
    assert (variables["SEGUE_TABLES"], variables["SEGUE_MARTS"]) == ("s3://bucket/of/ours", "s3://bucket/of/ours/marts")
    monkeypatch.setattr(settings.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(settings.SettingError, match=r"local/install\.sh s3"):
        load_settings()


@pytest.mark.parametrize(
    ("host", "in_url"),
    [
        ("127.0.0.9", "127.0.0.9"),
        ("machine", "machine"),
        ("0.0.0.0", "localhost"),
        ("::", "localhost"),
        ("::1", "[::1]"),
    ],
)
def test_addresses_of_services_can_be_requested(monkeypatch: pytest.MonkeyPatch, host: str, in_url: str) -> None:
    monkeypatch.setenv("SEGUE_HOST", host)
    monkeypatch.setenv("SEGUE_SERVICE_HOSTS", "airflow=api-server, mlflow=10.0.0.2")
    loaded = load_settings()
    assert loaded.service_url("recommender") == f"http://{in_url}:{loaded.recommender_port}"
    assert loaded.service_url("airflow") == f"http://api-server:{loaded.airflow_port}"


def test_a_former_name_of_a_setting_works_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_PAGES_PORT", "8123")
    monkeypatch.delenv("SEGUE_CONSOLE_PORT", raising=False)
    with pytest.warns(FutureWarning, match="SEGUE_CONSOLE_PORT"):
        assert load_settings().console_port == 8123
    monkeypatch.delenv("SEGUE_CONSOLE_PORT")


def test_a_variable_without_a_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_SERVING_PORT", "8123")
    assert "SEGUE_SERVING_PORT" in settings.unknown_variables()

"""Settings are read from the environment; errors name the setting and the remedy."""

import re
from pathlib import Path

import pytest

from config import settings
from config.tool_environment import tool_environment
from ingestion import land


def test_services_are_on_loopback_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_HOST", raising=False)
    assert settings.load_settings().host == "127.0.0.1"


def test_all_written_files_are_below_the_home_folder(here: settings.Settings, tmp_path: Path) -> None:
    properties = [name for name, value in vars(settings.Settings).items() if isinstance(value, property)]
    folders = [value for name in properties if isinstance(value := getattr(here, name), Path)]
    assert len(folders) > 8
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


@pytest.mark.parametrize("name", ["anna's home", "home [1]", "*", "what?"])
def test_a_home_that_sql_would_misread_is_an_error_that_names_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / name))
    with pytest.raises(settings.SettingError, match=r"contains the character .*; set SEGUE_HOME to a path without"):
        settings.load_settings()
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    assert land.main([str(tmp_path), "--home", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err and not (tmp_path / name).exists()
    assert settings.check_home(tmp_path / "anna @home (1)") == tmp_path / "anna @home (1)"


def test_the_url_of_the_event_store_has_a_supported_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_EVENT_STORE", raising=False)
    assert settings.load_settings().event_store == ""
    monkeypatch.setenv("SEGUE_EVENT_STORE", "redis://127.0.0.1:6379/2")
    assert settings.load_settings().event_store == "redis://127.0.0.1:6379/2"
    monkeypatch.setenv("SEGUE_EVENT_STORE", "amqp://user:secret@host")
    with pytest.raises(settings.SettingError, match="SEGUE_EVENT_STORE") as error:
        settings.load_settings()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "accounts", "message"),
    [
        ("", "me=a:b", "no music server is configured; set SEGUE_SUBSONIC_URL"),
        ("https://music.example.org", "", "no music server is configured"),
        (
            "http://music.example.org",
            "me=a:secret",
            "is not encrypted; use https, or set SEGUE_SUBSONIC_ALLOW_HTTP=yes",
        ),
        ("http://me:secret@localhost", "me=a:b", "is not the address of a server"),
        (
            "http://localhost",
            "me=a:b\n\nme:secret",
            "line 2 of SEGUE_SUBSONIC_ACCOUNTS_FILE is not USER_ID=ACCOUNT:PASSWORD",
        ),
    ],
)
def test_settings_of_a_music_server_that_are_missing_or_unsafe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, accounts: str, message: str
) -> None:
    (tmp_path / "accounts").write_text(accounts)
    monkeypatch.setenv("SEGUE_SUBSONIC_URL", url)
    monkeypatch.setenv("SEGUE_SUBSONIC_ACCOUNTS_FILE", str(tmp_path / "accounts"))
    with pytest.raises(settings.SettingError, match=message) as error:
        settings.load_music_server()
    assert "secret" not in str(error.value)


def test_a_music_server_may_be_here_encrypted_or_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "accounts").write_text("me=alice:pass=word, with:all \nyou=bob:b")
    monkeypatch.setenv("SEGUE_SUBSONIC_ACCOUNTS_FILE", str(tmp_path / "accounts"))
    for url, is_allowed in (("http://[::1]:4533/", ""), ("https://host/music/", ""), ("http://navidrome:4533", "yes")):
        monkeypatch.setenv("SEGUE_SUBSONIC_URL", url)
        monkeypatch.setenv("SEGUE_SUBSONIC_ALLOW_HTTP", is_allowed)
        server = settings.load_music_server()
        assert server.url == url.rstrip("/") and "pass" not in repr(server)
        assert server.accounts == {"me": ("alice", "pass=word, with:all"), "you": ("bob", "b")}


@pytest.mark.usefixtures("here")
def test_tables_are_in_the_home_folder_or_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEGUE_TABLES", raising=False)
    assert settings.load_settings().marts == tmp_path / "marts"
    monkeypatch.setenv("SEGUE_TABLES", "s3://bucket/of/ours/")
    here = settings.load_settings()
    places = {"landing": here.landing, "quarantine": here.quarantine, "marts": here.marts}
    assert {name: str(place) for name, place in places.items()} == {
        name: f"s3://bucket/of/ours/{name}" for name in places
    }
    assert here.built_marts.parent == here.suppression_list.parent == tmp_path
    variables = tool_environment(here)
    assert (variables["SEGUE_TABLES"], variables["SEGUE_MARTS"]) == ("s3://bucket/of/ours", "s3://bucket/of/ours/marts")
    for bad in ("bucket", "/bucket", "s3://", "gs://bucket/x", "s3://bucket/a b", "s3://bucket/it's", "s3://bucket//x"):
        monkeypatch.setenv("SEGUE_TABLES", bad)
        with pytest.raises(settings.SettingError, match=r"SEGUE_TABLES=.*set it to s3://bucket/prefix"):
            settings.load_settings()


def test_tables_in_a_bucket_need_s3fs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TABLES", "s3://bucket/prefix")
    monkeypatch.setattr(settings.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(settings.SettingError, match=r"local/install\.sh s3"):
        settings.load_settings()


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
    loaded = settings.load_settings()
    assert loaded.url(7) == f"http://{in_url}:7"
    assert loaded.service_url("recommender") == f"http://{in_url}:{loaded.recommender_port}"
    monkeypatch.setenv("SEGUE_SERVICE_HOSTS", "airflow=api-server, mlflow=10.0.0.2")
    assert settings.load_settings().service_url("airflow") == f"http://api-server:{loaded.airflow_port}"


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("SEGUE_MLFLOW_PORT", bad) for bad in ("0", "65536", "http", "-1", "80.5")),
        *(("SEGUE_FEATURE_LOG_SHARE", bad) for bad in ("1.5", "-1", "some", "nan")),
        *(("SEGUE_TERRITORY", bad) for bad in ("Germany", "D1")),
        *(("SEGUE_EXPLICIT", bad) for bad in ("maybe",)),
        *(("SEGUE_RECALL_DEADLINE_MS", bad) for bad in ("0", "30001", "soon", "1.5", "²")),
        *(
            ("SEGUE_SERVICE_HOSTS", bad)
            for bad in ("airflow", "airflow=", "web=host", "airflow=http://host", "airflow=a,,mlflow=b")
        ),
        *(("SEGUE_SIMULATED_LAST_DAY", bad) for bad in ("yesterday", "2026-02-30")),
        *(("SEGUE_RELEASE_PUBLIC_KEY", bad) for bad in ("/none",)),
        *(("SEGUE_MEDIA_ROOT", bad) for bad in ("/none",)),
    ],
)
def test_message_of_an_invalid_value_names_the_variable_the_value_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, bad: str
) -> None:
    monkeypatch.setenv(name, bad)
    with pytest.raises(settings.SettingError, match=rf"{name}='{re.escape(bad)}' .*; correct it, or unset it"):
        settings.load_settings()


def test_a_former_name_of_a_setting_works_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_PAGES_PORT", "8123")
    monkeypatch.delenv("SEGUE_CONSOLE_PORT", raising=False)
    with pytest.warns(FutureWarning, match="SEGUE_CONSOLE_PORT"):
        assert settings.load_settings().console_port == 8123
    monkeypatch.delenv("SEGUE_CONSOLE_PORT")

"""Settings are read from the environment; errors name the setting and the remedy."""

from pathlib import Path

import pytest

from config import settings
from config.tool_environment import tool_environment
from ingestion import land


def test_defaults_stay_inside_the_repository_and_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEGUE_HOME", "SEGUE_HOST", "SEGUE_AIRFLOW_PORT"):
        monkeypatch.delenv(name, raising=False)
    here = settings.load_settings()
    assert here.home == settings.ROOT / "var"
    assert here.host == "127.0.0.1"
    assert here.airflow_port == 8080


def test_all_written_files_are_below_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    here = settings.load_settings()
    folders = [value for name in dir(here) if isinstance(value := getattr(here, name), Path)]
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


@pytest.mark.parametrize("bad", ["0", "65536", "http", "-1", "80.5"])
def test_invalid_port_is_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("SEGUE_MLFLOW_PORT", bad)
    with pytest.raises(settings.SettingError, match="SEGUE_MLFLOW_PORT"):
        settings.load_settings()


def test_fraction_is_between_0_and_1(monkeypatch):
    assert settings.load_settings().feature_log_share == 1.0
    monkeypatch.setenv("SEGUE_FEATURE_LOG_SHARE", "0.01")
    assert settings.load_settings().feature_log_share == 0.01
    for wrong in ("1.5", "-1", "some", "nan"):
        monkeypatch.setenv("SEGUE_FEATURE_LOG_SHARE", wrong)
        with pytest.raises(settings.SettingError, match="SEGUE_FEATURE_LOG_SHARE"):
            settings.load_settings()


def test_defaults_of_territory_and_explicit_tracks(monkeypatch):
    assert (settings.load_settings().territory, settings.load_settings().explicit) == ("", True)
    monkeypatch.setenv("SEGUE_TERRITORY", "de")
    monkeypatch.setenv("SEGUE_EXPLICIT", "no")
    assert (settings.load_settings().territory, settings.load_settings().explicit) == ("DE", False)
    for name, wrong in (("SEGUE_TERRITORY", "Germany"), ("SEGUE_TERRITORY", "D1"), ("SEGUE_EXPLICIT", "maybe")):
        with monkeypatch.context() as patch:
            patch.setenv(name, wrong)
            with pytest.raises(settings.SettingError, match=name):
                settings.load_settings()


@pytest.mark.parametrize("bad", ["0", "30001", "soon", "1.5", "²"])
def test_deadline_is_a_number_of_milliseconds(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    assert settings.load_settings().recall_deadline_ms == 400
    monkeypatch.setenv("SEGUE_RECALL_DEADLINE_MS", bad)
    with pytest.raises(settings.SettingError, match=r"SEGUE_RECALL_DEADLINE_MS.*set it to 1 to 30000"):
        settings.load_settings()


def test_requests_processed_concurrently_by_number_of_model_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_ANSWERED_AT_ONCE", raising=False)
    monkeypatch.setattr(settings.os, "cpu_count", lambda: 2)
    found = []
    for workers in (0, 1, 2, 11):
        monkeypatch.setenv("SEGUE_MODEL_WORKERS", str(workers))
        found.append(settings.load_settings().concurrent_requests)
    assert found == [2, 4, 8, settings.MAX_CONCURRENT_REQUESTS]
    monkeypatch.setenv("SEGUE_ANSWERED_AT_ONCE", "3")
    assert settings.load_settings().concurrent_requests == 3


@pytest.mark.parametrize("bad", ["0", "65", "two"])
def test_number_of_training_ranks(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.delenv("SEGUE_TRAINING_RANKS", raising=False)
    assert settings.load_settings().training_ranks == 1
    monkeypatch.setenv("SEGUE_TRAINING_RANKS", bad)
    with pytest.raises(settings.SettingError, match="SEGUE_TRAINING_RANKS"):
        settings.load_settings()


def test_broker_url_has_a_supported_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_BROKER", raising=False)
    assert settings.load_settings().broker == ""
    monkeypatch.setenv("SEGUE_BROKER", "redis://127.0.0.1:6379/2")
    assert settings.load_settings().broker == "redis://127.0.0.1:6379/2"
    monkeypatch.setenv("SEGUE_BROKER", "amqp://user:secret@host")
    with pytest.raises(settings.SettingError, match="SEGUE_BROKER") as error:
        settings.load_settings()
    assert "secret" not in str(error.value)


def test_tables_are_in_the_home_folder_or_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.delenv("SEGUE_TABLES", raising=False)
    assert settings.load_settings().marts == tmp_path / "marts"
    monkeypatch.setenv("SEGUE_TABLES", "s3://bucket/of/ours/")
    here = settings.load_settings()
    places = {"landing": here.landing, "quarantine": here.quarantine, "marts": here.marts}
    assert {name: str(place) for name, place in places.items()} == {
        name: f"s3://bucket/of/ours/{name}" for name in places
    }
    assert here.built_marts.parent == here.suppression_list.parent == here.event_log.parent == tmp_path
    variables = tool_environment(here)
    assert (variables["SEGUE_TABLES"], variables["SEGUE_MARTS"]) == ("s3://bucket/of/ours", "s3://bucket/of/ours/marts")
    for bad in ("bucket", "/bucket", "s3://", "gs://bucket/x", "s3://bucket/a b", "s3://bucket/it's", "s3://bucket//x"):
        monkeypatch.setenv("SEGUE_TABLES", bad)
        with pytest.raises(settings.SettingError, match=r"SEGUE_TABLES=.*set it to s3://bucket/prefix"):
            settings.load_settings()


def test_tables_in_a_bucket_need_s3fs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TABLES", "s3://bucket/prefix")
    monkeypatch.setattr(settings.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(settings.SettingError, match=r"pip install .*\[s3\]"):
        settings.load_settings()


def test_hosts_of_services_in_other_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_SERVICE_HOSTS", "airflow=api-server, mlflow=10.0.0.2")
    loaded = settings.load_settings()
    assert loaded.service_url("airflow") == f"http://api-server:{loaded.airflow_port}"
    assert loaded.service_url("mlflow") == f"http://10.0.0.2:{loaded.mlflow_port}"
    assert loaded.service_url("recommender") == f"http://127.0.0.1:{loaded.recommender_port}"


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


@pytest.mark.parametrize("bad", ["airflow", "airflow=", "web=host", "airflow=http://host", "airflow=a,,mlflow=b"])
def test_hosts_of_unknown_services_are_an_error(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("SEGUE_SERVICE_HOSTS", bad)
    with pytest.raises(settings.SettingError, match="SEGUE_SERVICE_HOSTS"):
        settings.load_settings()

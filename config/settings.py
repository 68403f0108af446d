"""Settings from the environment: paths, ports, engines, stores and limits.

Hyperparameters are not settings: they live in the config dataclasses of the models (see `training/recipes.py`).
"""

from __future__ import annotations

import importlib
import importlib.util
import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]

ENGINES = ("duckdb", "spark")
"""Engines that build marts, validate tables and compute features: one process on one machine, or a cluster."""


ONLINE_STORES = ("sqlite", "redis")
"""Stores of the features for serving: a file on one machine, or a Redis server shared by several machines."""


OBJECT_STORE_SCHEME = "s3://"
"""URL scheme of object storage (`SEGUE_TABLES`)."""


BROKER_SCHEME = "redis://"
"""URL scheme of the message broker (`SEGUE_BROKER`)."""


MAX_CONCURRENT_REQUESTS = 12
"""Maximum number of requests that one process handles concurrently."""


REQUESTS_PER_MODEL_WORKER = 4
"""Default number of concurrent requests per model worker; those that wait for a worker run as a batch."""


MAX_TRAINING_RANKS = 64
"""Maximum number of data-parallel training processes on one machine."""


SERVICES = ("airflow", "recommender", "mlflow", "consumer")
"""Services that the console reads."""


UMASK = 0o027
"""New files have at most mode 0640, new folders 0750."""


HOME_EXCLUDED_CHARACTERS = "'*?["
"""Characters that the path of the home may not have: SQL and file patterns of DuckDB and dbt contain it."""


MIN_PASSWORD_LENGTH = 16
"""Minimum length of the operator's password."""


def remote_folder(url: str) -> Path:
    """The folder `s3://bucket/prefix` as an object with `Path`'s interface (`/`, `exists`, `open`, `stat`, `unlink`)."""
    from upath import UPath  # optional dependency

    # Other processes write there too, so listings must not be cached.
    return cast(Path, UPath(url, use_listings_cache=False))


class SettingError(ValueError):
    """A setting has an invalid value; the message names the setting and the remedy."""


@dataclass(frozen=True)
class Settings:
    """Settings of one installation.

    API keys are not included, so that settings can be printed; see `load_api_keys`.
    """

    home: Path  # folder of everything that Segue writes
    host: str  # address that the services listen on; loopback by default
    airflow_port: int  # Airflow's web server
    recommender_port: int  # recommender service and listening page
    mlflow_port: int  # MLflow's tracking server
    console_port: int  # operator console
    feature_log_share: float = 1.0  # fraction of requests whose features are logged, 0 to 1
    engine: str = "duckdb"  # one of ENGINES
    spark_master: str = "local[*]"  # URL of the Spark master
    spark_memory: str = "2g"  # memory of the Spark driver
    spark_server: str = (
        ""  # host:port of the Spark Thrift server that dbt uses; empty: a Spark session in dbt's process
    )
    online_store: str = "sqlite"  # one of ONLINE_STORES
    redis: str = "127.0.0.1:6379"  # connection string as Feast writes it: host:port,db=1,password=…
    recall_deadline_ms: int = 400  # time that a request waits for its recall channels
    concurrent_requests: int = 2  # requests that one process handles concurrently
    model_workers: int = 0  # processes that run the models of a release; 0: the recommender's own process
    territory: str = ""  # ISO 3166-1 country of requests that do not name one; empty: unknown
    explicit: bool = True  # requests that do not say otherwise get tracks with an advisory label
    other_sounds: bool = False  # whether clips that are not music, such as speech, are recommended
    broker: str = ""  # URL of the event broker; empty: the recommender applies events itself
    consumer_port: int = 9180  # metrics port of the event consumer
    training_ranks: int = 1  # number of data-parallel training processes
    training_plays: int = 20_000_000  # maximum number of plays that one training process holds in memory
    release_public_key: str = ""  # PEM file of the key that signs releases; empty: signatures are not checked
    release_private_key: str = ""  # PEM file of the key to sign releases with; empty: releases are not signed
    tables_url: str = ""  # s3:// URL of landing zone, quarantine and marts; empty: below `home`
    media_root: Path | None = None  # folder that media paths of logs are relative to; None: the landed folder
    simulated_last_day: str = ""  # last day of a world that is simulated, YYYY-MM-DD; empty: yesterday (UTC)
    allow_remote: bool = False  # whether services may listen on a `host` that other machines can reach
    without_proxy: bool = False  # whether other machines may reach the recommender without a reverse proxy
    service_hosts: tuple[tuple[str, str], ...] = ()  # service → host at which the console reaches it; others: `host`
    grafana_url: str = ""  # address of Grafana, which the console links; empty: no link

    def service_url(self, service: str) -> str:
        """Address of a service, one of SERVICES, for other services; browsers may reach it at another one."""
        ports = (self.airflow_port, self.recommender_port, self.mlflow_port, self.consumer_port)
        host = dict(self.service_hosts).get(service, self.host)
        return f"http://{url_host(host)}:{dict(zip(SERVICES, ports, strict=True))[service]}"

    def url(self, port: int) -> str:
        """Address of a port of `host`."""
        return f"http://{url_host(self.host)}:{port}"

    @property
    def tables(self) -> Path:
        """Root of landing zone, quarantine and marts: the home folder or a folder on object storage."""
        if not self.tables_url:
            return self.home
        return remote_folder(self.tables_url)

    @property
    def landing(self) -> Path:
        """Landed tables in the data contract: `landing/<table>/dt=*/*.parquet`."""
        return self.tables / "landing"

    @property
    def quarantine(self) -> Path:
        """Rows that failed the contract, with `reason` and `source_line`."""
        return self.tables / "quarantine"

    @property
    def suppression_list(self) -> Path:
        """Salted hashes of erased users (`storage.suppression_list`)."""
        return self.home / "forgotten.json"

    @property
    def media(self) -> Path:
        """Covers that landing extracted from audio files, and the folders of landed media (`storage.media_paths`)."""
        return self.home / "media"

    @property
    def event_log(self) -> Path:
        """The recommender's durable event log, JSON lines in the contract: `live/dt=*/*.jsonl`."""
        return self.home / "live"

    @property
    def event_log_lock(self) -> Path:
        """Lock of the process that writes the event log and the online store."""
        return self.home / "serving" / "writer.lock"

    @property
    def feature_log(self) -> Path:
        """Features that sampled requests read, for `sequences.skew`: `requests/dt=*/*.jsonl`."""
        return self.home / "requests"

    @property
    def warehouse(self) -> Path:
        """dbt's DuckDB file. It has a single writer; everything else reads the marts."""
        return self.home / "warehouse.duckdb"

    @property
    def spark(self) -> Path:
        """Spark's local files: dbt's tables, the metastore, spilled data, and marts before they are published."""
        return self.home / "spark"

    @property
    def marts(self) -> Path:
        """Published marts: `marts/<mart>.parquet`. Read them from `storage.object_store.fetch_marts`."""
        return self.tables / "marts"

    @property
    def built_marts(self) -> Path:
        """Marts that dbt wrote locally, before the upload to object storage."""
        return self.home / "built"

    @property
    def feast(self) -> Path:
        """Feast's registry and online store."""
        return self.home / "feast"

    @property
    def training(self) -> Path:
        """Workspaces of training runs: `training/<as_of>-<recipe>/`."""
        return self.home / "training"

    @property
    def releases(self) -> Path:
        """BentoML's home: its model store holds the releases."""
        return self.home / "bentoml"

    @property
    def reports(self) -> Path:
        """Reports for people: evaluation, data docs, dbt docs, benchmark."""
        return self.home / "reports"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def airflow_passwords(self) -> Path:
        """JSON file from which Airflow's simple auth manager reads user and password, readable by its owner only."""
        return self.airflow / "passwords.json"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.home / "mlflow"

    @property
    def logs(self) -> Path:
        """Log files of background services, one per service."""
        return self.home / "logs"


def load_settings() -> Settings:
    """Return the settings from `SEGUE_*` environment variables; defaults suit a laptop.

    Files that this process and its children create from now on are not readable for other users of the machine.

    Raises:
        SettingError: The path of the home has a quote or wildcard, a number is out of range, the territory is not a country
            code, a choice is not among the alternatives, a URL has an unsupported scheme, a key file does not exist, or
            `SEGUE_TABLES` requires a package that is not installed.
    """
    # Here, because every process that writes below `home` loads the settings. A stricter umask is kept.
    os.umask(os.umask(UMASK) | UMASK)
    workers = read_number("SEGUE_MODEL_WORKERS", 0, 0, MAX_CONCURRENT_REQUESTS - 1)
    return Settings(
        home=check_home(Path(os.environ.get("SEGUE_HOME") or ROOT / "var")),
        host=os.environ.get("SEGUE_HOST") or "127.0.0.1",
        airflow_port=_port("SEGUE_AIRFLOW_PORT", 8080),
        recommender_port=_port("SEGUE_RECOMMENDER_PORT", 3000),
        mlflow_port=_port("SEGUE_MLFLOW_PORT", 5000),
        console_port=_port("SEGUE_PAGES_PORT", 8090),
        feature_log_share=_share("SEGUE_FEATURE_LOG_SHARE", 1.0),
        engine=_choice("SEGUE_ENGINE", ENGINES),
        spark_master=os.environ.get("SEGUE_SPARK_MASTER") or "local[*]",
        spark_memory=os.environ.get("SEGUE_SPARK_MEMORY") or "2g",
        spark_server=os.environ.get("SEGUE_SPARK_SERVER") or "",
        online_store=_choice("SEGUE_ONLINE_STORE", ONLINE_STORES),
        redis=os.environ.get("SEGUE_REDIS") or "127.0.0.1:6379",
        recall_deadline_ms=read_number("SEGUE_RECALL_DEADLINE_MS", 400, 1, 30_000),
        concurrent_requests=read_number(
            "SEGUE_ANSWERED_AT_ONCE",
            min(max(2, os.cpu_count() or 2, REQUESTS_PER_MODEL_WORKER * workers), MAX_CONCURRENT_REQUESTS),
            1,
            MAX_CONCURRENT_REQUESTS,
        ),
        model_workers=workers,
        territory=_country("SEGUE_TERRITORY"),
        explicit=_choice("SEGUE_EXPLICIT", ("yes", "no")) == "yes",
        other_sounds=_choice("SEGUE_OTHER_SOUNDS", ("no", "yes")) == "yes",
        broker=_broker("SEGUE_BROKER"),
        consumer_port=_port("SEGUE_CONSUMER_PORT", 9180),
        training_ranks=read_number("SEGUE_TRAINING_RANKS", 1, 1, MAX_TRAINING_RANKS),
        training_plays=read_number("SEGUE_TRAINING_PLAYS", 20_000_000, 1, 1_000_000_000),
        release_public_key=_file("SEGUE_RELEASE_PUBLIC_KEY"),
        release_private_key=_file("SEGUE_RELEASE_PRIVATE_KEY"),
        tables_url=_object_store_url("SEGUE_TABLES"),
        media_root=_folder("SEGUE_MEDIA_ROOT"),
        simulated_last_day=_day("SEGUE_SIMULATED_LAST_DAY"),
        allow_remote=_choice("SEGUE_ALLOW_REMOTE", ("no", "yes")) == "yes",
        without_proxy=_choice("SEGUE_WITHOUT_PROXY", ("no", "yes")) == "yes",
        service_hosts=_service_hosts("SEGUE_SERVICE_HOSTS"),
        grafana_url=os.environ.get("SEGUE_GRAFANA_URL") or "",
    )


def check_home(home: Path) -> Path:
    """Return the absolute path of a home folder.

    Raises:
        SettingError: It has one of `HOME_EXCLUDED_CHARACTERS`.
    """
    home = home.resolve()
    if found := next((character for character in str(home) if character in HOME_EXCLUDED_CHARACTERS), None):
        raise SettingError(
            f"the path of the home, {home}, contains the character {found}, which SQL and file patterns would misread; set "
            f"SEGUE_HOME to a path without {' '.join(HOME_EXCLUDED_CHARACTERS)}"
        )
    return home


def load_api_keys() -> tuple[str, ...]:
    """Return the recommender's API keys: `SEGUE_API_KEYS`, separated by commas, and the lines of `SEGUE_API_KEYS_FILE`.

    Raises:
        SettingError: The file cannot be read.
    """
    text, file = os.environ.get("SEGUE_API_KEYS", ""), os.environ.get("SEGUE_API_KEYS_FILE")
    if file:
        try:
            text += "," + ",".join(Path(file).read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                f"SEGUE_API_KEYS_FILE={file!r} cannot be read ({error}); set it to a UTF-8 file with one key per line, or unset it"
            ) from error
    return tuple(key.strip() for key in text.split(",") if key.strip())


def load_operator_password() -> str:
    """Return the password of console and MLflow, `SEGUE_OPERATOR_PASSWORD`; "" without one, then they need none.

    Raises:
        SettingError: It is too short.
    """
    password = os.environ.get("SEGUE_OPERATOR_PASSWORD", "")
    if 0 < len(password) < MIN_PASSWORD_LENGTH:
        raise SettingError(
            f"SEGUE_OPERATOR_PASSWORD has {len(password)} characters, at least {MIN_PASSWORD_LENGTH} are required; generate it with "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(24))', or unset it"
        )
    return password


def url_host(host: str) -> str:
    """A host as in a URL: IPv6 addresses are in brackets, and that of all interfaces is reached as `localhost`."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return "localhost"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only. Of the host names only `localhost` counts as loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback_authority(authority: str) -> bool:
    """Whether a `Host` header, with or without a port, names this machine: localhost, 127.0.0.0/8 or [::1].

    Any other name that DNS resolves to this machine does not count: pages of that name would have the same origin.
    """
    match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?", authority.lower(), re.ASCII)
    return match is not None and is_loopback(match[1] or match[2])


def _port(name: str, default: int) -> int:
    return read_number(name, default, 1, 65535, "port")


def read_number(name: str, default: int, minimum: int, maximum: int, kind: str = "number in range") -> int:
    """Return the whole number in the environment variable `name`, `default` without it.

    Raises:
        SettingError: It is not a number from `minimum` to `maximum`.
    """
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not minimum <= int(text) <= maximum:
        raise SettingError(
            f"{name}={text!r} is not a {kind}; set it to {minimum} to {maximum}, or unset it for {default}"
        )
    return int(text)


def _share(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError(
            f"{name}={text!r} is not a fraction; set it to 0 (none) to 1 (all), or unset it for {default:g}"
        )
    return share


def _day(name: str) -> str:
    text = os.environ.get(name, "")
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise SettingError(f"{name} is {text!r}; write a day as 2026-06-30, or leave it out") from None


def _country(name: str) -> str:
    text = os.environ.get(name) or ""
    if text and not re.fullmatch("[A-Za-z]{2}", text):
        raise SettingError(
            f"{name}={text!r} is not a country code; set it to two letters of ISO 3166-1 such as DE, or unset it"
        )
    return text.upper()


def _service_hosts(name: str) -> tuple[tuple[str, str], ...]:
    text = os.environ.get(name) or ""
    pairs = [pair.strip().partition("=") for pair in text.split(",")] if text else []
    for service, _, host in pairs:
        if service not in SERVICES or not re.fullmatch(r"[A-Za-z0-9.-]+", host):
            raise SettingError(
                f"{name}={text!r} does not name hosts of {', '.join(SERVICES)}; "
                "set it to airflow=HOST,recommender=HOST, or unset it"
            )
    return tuple((service, host) for service, _, host in pairs)


def _broker(name: str) -> str:
    text = os.environ.get(name) or ""
    if text and not text.startswith(BROKER_SCHEME):
        raise SettingError(f"{name} must start with {BROKER_SCHEME}; set it to redis://host:port/db, or unset it")
    return text


def _object_store_url(name: str) -> str:
    text = (os.environ.get(name) or "").rstrip("/")
    if not text:
        return ""
    if not re.fullmatch(OBJECT_STORE_SCHEME + r"[a-z0-9][a-z0-9.-]+(/[\w.=-]+)*", text, re.ASCII):
        raise SettingError(
            f"{name}={text!r} is not a URL of object storage; set it to s3://bucket/prefix, or unset it for SEGUE_HOME"
        )
    if importlib.util.find_spec("s3fs") is None:
        raise SettingError(f"{name}={text!r} needs s3fs; run: pip install -c requirements.lock -e '.[s3]', or unset it")
    return text


def _file(name: str) -> str:
    text = os.environ.get(name) or ""
    if text and not Path(text).is_file():
        raise SettingError(f"{name}={text!r} is not a file; set it to the path of a PEM file, or unset it")
    return str(Path(text).resolve()) if text else ""


def _folder(name: str) -> Path | None:
    text = os.environ.get(name) or ""
    if text and not Path(text).is_dir():
        raise SettingError(f"{name}={text!r} is not a folder; set it to the folder of the media files, or unset it")
    return Path(text).resolve() if text else None


def _choice(name: str, choices: tuple[str, ...]) -> str:
    text = os.environ.get(name) or choices[0]
    if text not in choices:
        raise SettingError(f"{name}={text!r} is not one of {', '.join(choices)}; unset it for {choices[0]}")
    return text

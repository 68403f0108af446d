"""Settings from environment variables, one class per process, read and validated by pydantic-settings.

A variable that is empty counts as not set. `python docs/settings_page.py` writes the table in `docs/settings.md` from the fields.
Hyperparameters are not settings: they are in `training/recipes/*.yaml`. Thresholds of behaviors are variables of dbt, read by
`load_dbt_variables`.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import warnings
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    DirectoryPath,
    Field,
    FilePath,
    IPvAnyAddress,
    IPvAnyNetwork,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]
DBT_FOLDER = ROOT / "dbt"

Engine = Literal["duckdb", "spark"]
"""Engines that build marts, validate tables and compute features: one process on one machine, or a cluster."""


OnlineStoreKind = Literal["sqlite", "redis"]
"""Stores of the features for serving: a file on one machine, or a Redis server shared by several machines."""

OBJECT_STORE_SCHEME = "s3://"
"""URL scheme of object storage (`SEGUE_TABLES`)."""

REDIS_SCHEME = "redis://"
"""URL scheme of the store of events for several machines (`SEGUE_EVENT_STORE`)."""

DEFAULT_REQUESTS_PER_S = 100
"""Requests per second of each client if the recommender listens on an address that other machines can reach."""

MAX_CONCURRENT_REQUESTS = 12
"""Maximum number of requests that one worker handles concurrently."""

SERVICES = ("airflow", "recommender", "mlflow")
"""Services that the console reads."""

UMASK = 0o027
"""New files have at most mode 0640, new folders 0750."""

HOME_EXCLUDED_CHARACTERS = "'*?["
"""Characters that the path of the home may not have: SQL and file patterns of DuckDB and dbt contain it."""

MIN_PASSWORD_LENGTH = 16
"""Minimum length of the operator's password."""

FOREVER = 0
"""Lifetime of what is not removed."""

MIN_LANDED_DAYS = 28
"""Days of events that the marts of one day read: `plays_28d` of `track_statistics`."""

MIN_LOG_DAYS = 2
"""A day of the feature log is read on the next day, by the skew comparison."""


class SettingError(ValueError):
    """A setting has an invalid value; the message names the setting and the remedy."""


def remote_folder(url: str) -> Path:
    """The folder `s3://bucket/prefix` as an object with `Path`'s interface (`/`, `exists`, `open`, `stat`, `unlink`)."""
    from upath import UPath  # optional dependency

    # Other processes write there too, so listings must not be cached.
    return cast(Path, UPath(url, use_listings_cache=False))


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


def _matching(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if text and not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"is not {what}")
        return text

    return AfterValidator(check)


def _split(text: object) -> object:
    return [part.strip() for part in re.split("[,\n]", text) if part.strip()] if isinstance(text, str) else text


def _split_pairs(text: object) -> object:
    if not isinstance(text, str):
        return text
    pairs = [part.strip().partition("=") for part in text.split(",")]
    if incomplete := [name for name, _, value in pairs if not value]:
        raise ValueError(f"has no value of {incomplete[0]!r}; write NAME=VALUE, separated by commas")
    return {name: value for name, _, value in pairs}


def _read_text(file: object) -> object:
    try:
        return Path(file).read_text(encoding="utf-8") if isinstance(file, str) else file
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"cannot be read ({error}); set it to a UTF-8 file, for example with one key per line"
        ) from error


def _read_accounts(text: object) -> object:
    if not isinstance(text, str):
        return text
    accounts = {}
    for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        user_id, _, login = line.strip().partition("=")
        account, _, password = login.partition(":")
        if not (user_id and account and password):  # without the line, which may contain a password
            raise SettingError(f"line {number} of SEGUE_SUBSONIC_ACCOUNTS_FILE is not USER_ID=ACCOUNT:PASSWORD")
        accounts[user_id] = account, password
    return accounts


def _server_url(url: str, info: ValidationInfo) -> str:
    if url and not re.fullmatch(
        r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(/[\w.~-]+)*/?", url, re.ASCII
    ):
        raise SettingError(  # without the URL, which may contain a password
            "SEGUE_SUBSONIC_URL is not the address of a server; write it like https://music.example.org or "
            "http://localhost:4533, without a user"
        )
    if url.startswith("http:") and not (info.data.get("allow_http") or is_loopback(urlsplit(url).hostname or "")):
        raise ValueError("is not encrypted; use https, or set SEGUE_SUBSONIC_ALLOW_HTTP=yes if you trust the network")
    return url.rstrip("/")


def _password(password: str) -> str:
    if 0 < len(password) < MIN_PASSWORD_LENGTH:
        raise SettingError(
            f"SEGUE_OPERATOR_PASSWORD has {len(password)} characters, at least {MIN_PASSWORD_LENGTH} are required; generate it with "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(24))', or unset it"
        )
    return password


def _redis_url(url: str) -> str:
    if url and not url.startswith(REDIS_SCHEME):  # without the URL, which may contain a password
        raise SettingError(
            f"SEGUE_EVENT_STORE must start with {REDIS_SCHEME}; set it to redis://host:port/db, or unset it for SQLite files"
        )
    return url


def _need_s3fs(url: str) -> str:
    if url and importlib.util.find_spec("s3fs") is None:
        raise ValueError("needs s3fs; run: sh local/install.sh s3")
    return url


def _at_least(minimum: int) -> AfterValidator:
    def check(days: int) -> int:
        if FOREVER < days < minimum:
            raise ValueError(
                f"is less than the {minimum} days that the pipeline reads; set it to at least {minimum}, or to {FOREVER} to keep "
                "everything"
            )
        return days

    return AfterValidator(check)


Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Threads = Annotated[int, Field(ge=1, le=65_536)]
Days = Annotated[int, Field(ge=0, le=36_500)]
PemFile = Annotated[FilePath, AfterValidator(Path.resolve)]
Day = Annotated[
    str,
    _matching(r"\d{4}-\d\d-\d\d", "a day such as 2026-06-30"),
    AfterValidator(lambda text: text and date.fromisoformat(text).isoformat()),
]
Country = Annotated[
    str,
    _matching("[A-Za-z]{2}", "a country code, two letters of ISO 3166-1 such as DE"),
    StringConstraints(to_upper=True),
]
Origin = Annotated[
    str,
    _matching(
        r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?",
        "an origin; write it in lower case like https://music.example.org or http://localhost:8090, without a path",
    ),
]
Accounts = Annotated[dict[str, tuple[str, str]], NoDecode, BeforeValidator(_read_accounts), BeforeValidator(_read_text)]
ServiceHosts = Annotated[
    dict[
        Annotated[str, _matching("|".join(SERVICES), f"one of {', '.join(SERVICES)}")],
        Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")],
    ],
    NoDecode,
    BeforeValidator(_split_pairs),
]
TablesUrl = Annotated[
    str,
    AfterValidator(lambda url: url.rstrip("/")),
    _matching(
        OBJECT_STORE_SCHEME + r"[a-z0-9][a-z0-9.-]+(/[\w.=-]+)*",
        "a URL of object storage; set it to s3://bucket/prefix",
    ),
    AfterValidator(_need_s3fs),
]


RENAMED_SETTINGS = {"SEGUE_PAGES_PORT": "SEGUE_CONSOLE_PORT", "SEGUE_ANSWERED_AT_ONCE": "SEGUE_CONCURRENT_REQUESTS"}
"""Former name → name of settings that version 0.1 called otherwise."""


class EnvironmentSettings(BaseSettings):
    """Settings from environment variables.

    Raises:
        SettingError: A variable has an invalid value; the message names it, the value unless it may be secret, and the remedy.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        env_ignore_empty=True,
        populate_by_name=True,
        env_prefix="SEGUE_",
        alias_generator=lambda name: f"SEGUE_{name.upper()}",
    )

    def __init__(self, **values: Any) -> None:
        for former, name in RENAMED_SETTINGS.items():
            if former in os.environ:
                warnings.warn(f"{former} is now {name}; it is read for the last time in this version", FutureWarning, 2)
                os.environ.setdefault(name, os.environ.pop(former))
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingError(_explain(error.errors()[0])) from None


def _explain(problem: ErrorDetails) -> str:
    cause, name = problem.get("ctx", {}).get("error"), str(problem["loc"][0])
    if isinstance(cause, SettingError):
        return str(cause)
    return f"{name}={os.environ.get(name, '')!r} {cause or 'is invalid: ' + problem['msg']}; correct it, or unset it for the default"


class Settings(EnvironmentSettings):
    """Settings of one installation. They have no keys and passwords, so that they can be printed."""

    home: Annotated[Path, AfterValidator(check_home)] = Field(
        default=ROOT / "var",
        description="folder for everything that is written; its path may not contain `'`, `*`, `?` or `[`",
    )
    tables_url: TablesUrl = Field(
        default="",
        validation_alias="SEGUE_TABLES",
        description="`s3://bucket/prefix` for landed tables, quarantine and marts "
        "([deployment](deployment.md#tables-on-object-storage)); empty: `SEGUE_HOME`",
    )
    media_root: Annotated[DirectoryPath, AfterValidator(Path.resolve)] | None = Field(
        default=None,
        description="folder that `audio_path` and `cover_path` of logs are relative to ([data](data.md#audio-covers-and-texts)); "
        "empty: the landed folder",
    )
    host: str = Field(
        default="127.0.0.1",
        description="address that services listen on; see [access](deployment.md#access-from-other-machines)",
    )
    allow_remote: bool = Field(
        default=False, description="`yes`: services may listen on an address that other machines can reach"
    )
    without_proxy: bool = Field(
        default=False,
        description="`yes`: the recommender starts there without `SEGUE_TRUSTED_PROXIES`; nothing then limits slow clients",
    )
    airflow_port: Port = Field(default=8080, description="port of Airflow's web server")
    recommender_port: Port = Field(default=3000, description="port of the recommender and the listening page")
    mlflow_port: Port = Field(default=5000, description="port of MLflow's tracking server")
    console_port: Port = Field(default=8090, description="port of the console")
    service_hosts: ServiceHosts = Field(
        default={},
        description="hosts of services in other containers, for the console: `airflow=HOST,recommender=HOST,mlflow=HOST`",
    )
    grafana_url: str = Field(default="", description="address of Grafana, which the console links")
    engine: Engine = Field(
        default="duckdb",
        description="or `spark`: the engine of marts and features ([deployment](deployment.md#spark))",
    )
    spark_master: str = Field(
        default="local[*]", description="Spark master URL: `spark://host:7077`, `yarn`, `k8s://...`"
    )
    spark_memory: str = Field(default="2g", description="Spark driver memory")
    spark_server: str = Field(
        default="", description="`host:port` of a Thrift server for dbt; empty: dbt opens its own session"
    )
    online_store: OnlineStoreKind = Field(default="sqlite", description="or `redis`")
    redis: str = Field(
        default="127.0.0.1:6379", repr=False, description="in Feast's notation: `host:port,db=1,password=...`"
    )
    event_store: Annotated[str, AfterValidator(_redis_url)] = Field(
        default="",
        repr=False,
        description="`redis://host:port/db`: a Redis server for events of recommenders on "
        "[several machines](deployment.md#several-machines); empty: SQLite files in `SEGUE_HOME/serving`",
    )
    recall_deadline_ms: Annotated[int, Field(ge=1, le=30_000)] = Field(
        default=400, description="time after which a request calls no further recall channel, 1 to 30,000"
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="processes of the recommender, 1 to 64 ([several cores](deployment.md#several-cores))",
    )
    concurrent_requests: Annotated[int, Field(ge=1, le=MAX_CONCURRENT_REQUESTS)] = Field(
        default=2,
        description="requests that each worker processes concurrently, 1 to 12",
    )
    release_public_key: PemFile | None = Field(
        default=None,
        description="PEM file of an Ed25519 public key: only [signed releases](deployment.md#releases) are activated and served",
    )
    release_private_key: PemFile | None = Field(
        default=None, description="PEM file of the private key: new releases are signed"
    )
    simulated_last_day: Day = Field(
        default="",
        description="last day of a simulated world (UTC), such as 2026-06-30; empty: yesterday",
    )
    territory: Country = Field(default="", description="country of users whose request does not give one")
    explicit: bool = Field(
        default=True, description="whether tracks with an advisory label are allowed when the request does not say"
    )
    other_sounds: bool = Field(
        default=False,
        description="whether the next release recommends clips that [are not music](data.md#not-music) to all users",
    )
    feature_log_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, description="fraction of requests whose features are logged for the daily skew comparison, 0 to 1"
    )
    training_plays: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=20_000_000,
        description="plays that one training holds in memory; of a larger log, whole users are sampled ([scale](deployment.md#scale))",
    )
    local_marts: str = Field(
        default="",
        repr=False,
        validation_alias="SEGUE_MARTS",
        description="folder of published marts for Feast in programs without `local.environment`, which sets it",
    )

    def service_url(self, service: str) -> str:
        """Address of a service, one of SERVICES, for other services; browsers may reach it at another one."""
        host = self.service_hosts.get(service, self.host)
        return f"http://{url_host(host)}:{getattr(self, f'{service}_port')}"

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
        return self.home / "suppression_list.json"

    @property
    def media(self) -> Path:
        """Covers that landing extracted from audio files, and the folders of landed media (`storage.media_paths`)."""
        return self.home / "media"

    def share(self, limit: int) -> int:
        """The share of each worker in a limit of the recommender."""
        return -(-limit // self.workers)

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


class AccessSettings(EnvironmentSettings):
    """Credentials of clients and of the operator. They are not printed."""

    api_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(),
        repr=False,
        description="API keys of the recommender's clients, separated by commas; a client with a key may act for every user",
    )
    api_keys_file: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), BeforeValidator(_read_text)] = Field(
        default=(), repr=False, description="the same in a file, one per line"
    )
    operator_password: Annotated[str, AfterValidator(_password)] = Field(
        default="",
        repr=False,
        description="password of the user `segue` for console and MLflow, at least 16 characters; empty: both listen on loopback only",
    )


class JwtSettings(EnvironmentSettings):
    """User tokens of the recommender: JSON Web Tokens that restrict a client to one user."""

    model_config = SettingsConfigDict(env_prefix="SEGUE_JWT_", alias_generator=lambda name: f"SEGUE_JWT_{name.upper()}")

    key_file: PemFile = Field(
        default=...,
        description="PEM file of a public key, or JSON Web Key Set, of [user tokens](api.md#access-control)",
    )
    issuer: str = Field(
        default=...,
        description="issuer (`iss`) of user tokens; required with a key file",
    )
    audience: str = Field(default=..., description="audience (`aud`) of user tokens; required with a key file")
    algorithms: Annotated[
        tuple[Literal["RS256", "ES256", "EdDSA", "HS256"], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=("RS256", "ES256", "EdDSA"),
        description="allowed signature algorithms; `HS256` is supported too",
    )
    user_claim: str = Field(default="sub", description="claim with the user id")
    leeway_s: Annotated[int, Field(ge=0, le=60)] = Field(
        default=10, description="accepted difference of clocks when a token expires, 0 to 60 seconds"
    )


class HttpSettings(EnvironmentSettings):
    """The recommender's HTTP layer: limits of requests, and which browsers and proxies are trusted.

    The reverse proxy in `deploy/nginx` has the same limits, which a test compares, and also limits headers and slow clients.
    """

    requests_per_s: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None,
        description="rate limit per client in requests per second; 0: unlimited; "
        f"by default 0 on loopback, otherwise {DEFAULT_REQUESTS_PER_S}",
    )
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(),
        description="origins of other sites whose pages may call the recommender (CORS), separated by commas",
    )
    trusted_proxies: Annotated[tuple[IPvAnyAddress | IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(),
        description="addresses or networks of reverse proxies whose `X-Forwarded-For` is trusted, separated by commas",
    )
    max_body_bytes: Annotated[int, Field(ge=1 << 10, le=1 << 30)] = Field(
        default=1 << 20, description="size of a body; larger ones get 413"
    )
    body_timeout_s: Annotated[int, Field(ge=1, le=300)] = Field(
        default=10, description="seconds to send the body; then 408"
    )
    client_requests: Count = Field(
        default=48,
        description="requests of one client in progress or queued; further ones get 429",
    )


class MusicServerSettings(EnvironmentSettings):
    """A music server with the Subsonic API, whose library is landed and which gets playlists."""

    model_config = SettingsConfigDict(
        env_prefix="SEGUE_SUBSONIC_", alias_generator=lambda name: f"SEGUE_SUBSONIC_{name.upper()}"
    )

    allow_http: bool = Field(default=False, description="`yes`: the URL may be plain `http` to another machine")
    url: Annotated[str, AfterValidator(_server_url)] = Field(
        default="",
        description="address of a [music server](music_server.md) with the Subsonic API; empty: none",
    )
    accounts: Accounts = Field(
        default={},
        repr=False,
        validation_alias="SEGUE_SUBSONIC_ACCOUNTS_FILE",
        description="file with a line `USER_ID=ACCOUNT:PASSWORD` per listener; the first account reads the library",
    )


class TrainingSettings(EnvironmentSettings):
    """A process that trains or evaluates."""

    openmp_threads: Threads = Field(
        default_factory=lambda: os.cpu_count() or 1,
        validation_alias="OMP_NUM_THREADS",
        description="threads of OpenMP, such as LightGBM's, in every process; by default all cores",
    )
    threads: Threads = Field(
        default_factory=lambda values: values["openmp_threads"],
        description="threads of one training process; by default `OMP_NUM_THREADS`",
    )


class Lifetimes(EnvironmentSettings):
    """Number of days that `make prune` keeps what a home accumulates; FOREVER: it is not removed."""

    model_config = SettingsConfigDict(
        env_prefix="SEGUE_KEEP_", alias_generator=lambda name: f"SEGUE_KEEP_{name.upper()}_DAYS"
    )

    landed: Annotated[Days, _at_least(MIN_LANDED_DAYS)] = Field(
        default=FOREVER,
        description="days of landed events that [`make prune`](deployment.md#retention) keeps, in whole months; at least 28; 0: forever",
    )
    feature_log: Annotated[Days, _at_least(MIN_LOG_DAYS)] = Field(
        default=30, description="days that logged features of requests are kept; 0: forever, here and below"
    )
    workspaces: Days = Field(default=14, description="days that training workspaces and their cached arrays are kept")
    releases: Days = Field(
        default=30, description="days that releases are kept that are neither served nor reachable by a rollback"
    )
    mlflow: Days = Field(default=90, description="days that MLflow runs are kept")
    reports: Days = Field(default=90, description="days that pages in folders of `reports` are kept")


def load_settings() -> Settings:
    """Return the settings of the installation.

    Files that this process and its children create from now on are not readable for other users of the machine.

    Raises:
        SettingError: A value is invalid, a file does not exist, or `SEGUE_TABLES` requires a package that is not installed.
    """
    # Here, because every process that writes below `home` loads the settings. A stricter umask is kept.
    os.umask(os.umask(UMASK) | UMASK)
    return Settings()


def unknown_variables() -> list[str]:
    """Environment variables that begin like a setting and are none, such as misspelled ones."""
    fields = [field for group in EnvironmentSettings.__subclasses__() for field in group.model_fields.values()]
    known = {*RENAMED_SETTINGS, *(field.validation_alias for field in fields)}
    return sorted(name for name in os.environ if name.startswith("SEGUE_") and name not in known)


def load_api_keys() -> tuple[str, ...]:
    """Return the recommender's API keys, of `SEGUE_API_KEYS` and `SEGUE_API_KEYS_FILE`.

    Raises:
        SettingError: The file cannot be read.
    """
    access = AccessSettings()
    return access.api_keys + access.api_keys_file


def load_operator_password() -> str:
    """Return the password of console and MLflow, `SEGUE_OPERATOR_PASSWORD`; "" without one, then they need none.

    Raises:
        SettingError: It is too short.
    """
    return AccessSettings().operator_password


def load_jwt_settings() -> JwtSettings | None:
    """Return the settings of user tokens; None without `SEGUE_JWT_KEY_FILE`.

    Raises:
        SettingError: The key file does not exist, issuer or audience is missing, or an algorithm is not supported.
    """
    return JwtSettings() if os.environ.get("SEGUE_JWT_KEY_FILE") else None


def load_music_server() -> MusicServerSettings:
    """Return the settings of the music server, with an address and at least one account.

    Raises:
        SettingError: One is missing, the address is not encrypted, or a line is not `USER_ID=ACCOUNT:PASSWORD`.
    """
    server = MusicServerSettings()
    if not (server.url and server.accounts):
        raise SettingError(
            "no music server is configured; set SEGUE_SUBSONIC_URL to its address, and SEGUE_SUBSONIC_ACCOUNTS_FILE to a file "
            "with a line USER_ID=ACCOUNT:PASSWORD"
        )
    return server


def url_host(host: str) -> str:
    """A host as in a URL: IPv6 addresses are in brackets, and the address of all interfaces becomes `localhost`."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return "localhost"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


@lru_cache
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


@lru_cache(maxsize=8)
def load_dbt_variables(dbt_folder: Path = DBT_FOLDER) -> dict[str, object]:
    """Thresholds that SQL and Python share, by name: the `vars` of a dbt project, their only definition."""
    import yaml

    return dict(yaml.safe_load((dbt_folder / "dbt_project.yml").read_text(encoding="utf-8"))["vars"])

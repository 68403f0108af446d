"""Writes the bytecode of every module that the commands of the image import, so that a start does not compile them.

The bytecode of all installed modules would be 470 MB. Imports run in one process after the other, because an import may
change the environment of the next one.
"""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "config",
    "media",
    "storage",
    "event_store",
    "ingestion",
    "quality",
    "sequences",
    "content",
    "recommender",
    "releases",
    "training",
    "serving",
    "served_behavior",
    "experiments",
    "privacy",
    "console",
    "local",
)
COMMANDS = (
    "airflow version",
    "airflow db migrate",
    "airflow api-server --help",
    "celery --version",
    "dbt --version",
    "feast --help",
    "bentoml --version",
    "mlflow server --help",
)
MODULES = (
    "airflow.api_fastapi.main",
    "airflow.dag_processing.manager",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.providers.celery.cli.celery_command",
    "airflow.providers.celery.executors.celery_executor",
    "airflow.sdk.execution_time.task_runner",
    "asyncpg",
    "bentoml_cli.cli",
    "celery.bin.celery",
    "dbt.adapters.duckdb",
    "dbt.cli.main",
    "dbt.parser.manifest",
    "dbt.task.build",
    "mlflow.pytorch",
    "mlflow.server",
    "psycopg2",
    "redis.asyncio",
)


def own_modules() -> list[str]:
    """Modules of the packages of this repository, without programs and without those that need Spark."""
    folders = [str(ROOT / package) for package in PACKAGES]
    return [
        module.name
        for folder, package in zip(folders, PACKAGES, strict=True)
        for module in pkgutil.walk_packages([folder], f"{package}.")
        if not module.name.endswith("__main__") and "spark" not in module.name
    ]


def main() -> None:
    """Import everything in a temporary home; exit with the first failure."""
    with tempfile.TemporaryDirectory() as home:
        variables = {"SEGUE_HOME": home, "AIRFLOW_HOME": f"{home}/airflow"}
        imports = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
        for command in (
            [sys.executable, "-c", imports, *own_modules()],
            [sys.executable, "-c", imports, *MODULES],
            *(command.split() for command in COMMANDS),
        ):
            wrapped = ["env", *(f"{name}={value}" for name, value in variables.items())]
            subprocess.run([*wrapped, sys.executable, "-m", "local.environment", *command], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()

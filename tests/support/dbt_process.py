"""One dbt process for many builds, because importing dbt and parsing the project take longer than building small marts.

`python -m tests.support.dbt_process` parses the project once, for a home at the end of a symbolic link. Each line of its
standard input is a build in a forked process, each line of its standard output the result.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from config import settings
from config.tool_environment import tool_environment
from tests.support import spark

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest
    from dbt_common.events.base_types import EventMsg

PROJECT = ("--project-dir", "dbt")
IN_ONE_PROCESS = "--in-one-process"
UNREAD = {"DBT_LOG_LEVEL_FILE": "none", "DBT_WRITE_JSON": "false"}
"""Without the files that no test of a build reads: the debug log of every statement, and the manifest."""
WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")


class DbtProcess:
    """The process, with a link to the home of the current build.

    Args:
        folder: Folder of the link `home`; removed when the tests end.
        variables: Environment variables of the tools, for the home `folder / "home"`.
        is_forked: Run each build in a process of its own. Otherwise all builds share a session of Spark, which takes seconds
            to start.
    """

    def __init__(self, folder: Path, variables: dict[str, str], is_forked: bool = True) -> None:
        self._folder, self._variables = folder, variables | UNREAD
        (folder / "parsed").mkdir()
        (folder / "home").symlink_to(folder / "parsed")  # parsing creates folders in the home
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.dbt_process", *(() if is_forked else (IN_ONE_PROCESS,))],
            cwd=settings.ROOT,
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.close)

    def build(
        self, home: Path, arguments: list[str], copied: list[tuple[str, str]] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `dbt build` in `home`, with the current environment variables.

        Args:
            home: Home folder.
            arguments: Arguments of dbt.
            copied: Source and target of files that are copied when the build has read the exposures.
        """
        link = self._folder / "new"
        link.symlink_to(home.resolve())
        link.rename(self._folder / "home")
        log = self._folder / "output.txt"
        command = ["build", *PROJECT, *arguments]
        request = {"arguments": command, "environment": os.environ | self._variables, "copied": copied or []}
        self._process.stdin.write(json.dumps(request | {"log": str(log)}) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline()
        assert code, "the dbt process ended, see above"
        return subprocess.CompletedProcess(command, int(code), log.read_text(), "")

    def close(self) -> None:
        """End the process."""
        atexit.unregister(self.close)
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


@cache
def dbt_on(engine: str, tables_url: str = "") -> DbtProcess:
    """The process that builds with `duckdb` or `spark`, from tables in the home or at an address, started on first use."""
    folder = Path(tempfile.mkdtemp(prefix="segue-dbt-"))
    home = folder / "home"
    here = settings.Settings(home=home, tables_url=tables_url)
    return DbtProcess(folder, spark.environment(home) if engine == "spark" else tool_environment(here))


def _run(manifest: Manifest, request: dict[str, Any]) -> bool:
    from dbt.cli.main import dbtRunner

    def copy(event: EventMsg) -> None:
        if event.info.name == "NodeFinished" and event.data.node_info.node_name == "exposures":
            for source, target in request["copied"]:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    os.environ.clear()
    os.environ.update(request["environment"])
    result = dbtRunner(manifest, callbacks=[copy]).invoke(request["arguments"])
    if result.exception is not None:
        print(result.exception)
    return bool(result.success)


def _run_in_fork(manifest: Manifest, request: dict[str, Any]) -> int:
    """Exit status of a build; in a process of its own, because dbt and DuckDB keep state between builds."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    gc.disable()  # it would copy the pages of the manifest
    try:
        status = _run_here(manifest, request)
    except Exception:
        traceback.print_exc()
    finally:
        # As at the end of the command `dbt`. The rest of its end aborts in a fork without the threads of its parent.
        DuckDBConnectionManager.close_all_connections()
        os._exit(status)


def _run_here(manifest: Manifest, request: dict[str, Any]) -> int:
    """Exit status of a build in this process."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.close(log)
    try:
        return 0 if _run(manifest, request) else 1
    finally:
        sys.stdout.flush()


def main() -> None:
    """Parse the project, then build until the end of standard input."""
    from dbt.cli.main import dbtRunner
    from dbt_common.clients.jinja import template_cache

    with contextlib.redirect_stdout(sys.stderr):
        parsed = dbtRunner().invoke(["parse", *PROJECT, "--quiet"])
    if not parsed.success:
        raise SystemExit(f"dbt parse: {parsed.exception}")
    for macro in parsed.result.macros.values():
        template_cache.get_node_template(macro)  # compiled once instead of in every build
    run = _run_here if IN_ONE_PROCESS in sys.argv else _run_in_fork
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        for line in sys.stdin:
            print(run(cast("Manifest", parsed.result), json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()

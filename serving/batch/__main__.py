"""`python -m serving.batch --scene daily --out FOLDER`: lists and embeddings of all users, as Parquet files.

Tables below FOLDER: `lists` (one row per item), `user_embeddings` and `item_embeddings` (one row per vector, with the versions
of release and model); `_SUCCESS` appears at the end. The same command continues an interrupted run; if the release, the users
or the scene changed, it begins anew. The recommender may run or not.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from config import settings
from config.command_line import report_errors
from config.settings import SettingError
from config.tool_environment import tool_environment
from recommender.slate.scene_settings import SCENES
from serving.__main__ import KERNEL_THREADS
from serving.batch import BatchError
from serving.errors import NoCollections, RequestRejected


@report_errors(
    *(BatchError, RequestRejected, NoCollections, SettingError),
    code=1,
    interrupted="stopped; the same command continues after the finished parts",
)
def main(arguments: list[str] | None = None) -> int:
    """Run the batch; 1 if it cannot continue."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scene", choices=tuple(SCENES), default="daily")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the tables: new, empty, or of an earlier run"
    )
    options = parser.parse_args(arguments)
    here = settings.load_settings()
    for name, value in {**KERNEL_THREADS, **tool_environment(here)}.items():
        os.environ.setdefault(name, value)
    # Imported late, because numeric libraries and BentoML read the environment when they are imported.
    from prometheus_client import CollectorRegistry

    from serving.batch.export import open_runtime, run
    from serving.observability.metrics import Metrics

    runtime = open_runtime(here, Metrics(CollectorRegistry()))
    try:
        run(runtime, here, options.scene, options.out, time.time_ns() // 1000, lambda text: print(text, flush=True))
    finally:
        runtime.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

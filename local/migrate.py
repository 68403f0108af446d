"""`python -m local.migrate`: prepares a SEGUE_HOME that an earlier version wrote for this version.

Removes derived state (marts, features, training workspaces, releases, caches), which the next run rebuilds. Keeps everything else:
landed logs, recorded events, quarantine, logged features of requests, the suppression list, simulated worlds, reports, MLflow and
Airflow with their passwords.
"""

from __future__ import annotations

import shutil
import sys

from config.command_line import report_errors
from config.settings import SettingError, Settings, load_settings
from local import services
from local.home import DERIVED_STATE, HomeFormatError, check_home_format, write_home_format


def migrate(settings: Settings) -> list[str]:
    """Stop the services, remove derived state and mark the home as written by this version.

    Returns:
        Names of the removed files and folders below SEGUE_HOME; empty if the home has the current format.

    Raises:
        HomeFormatError: A newer version wrote the home.
    """
    try:
        check_home_format(settings)
    except HomeFormatError as error:
        if not error.is_older:
            raise
    else:
        return []
    services.stop(settings)
    paths = [path for name in DERIVED_STATE for path in sorted(settings.home.glob(name))]
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    write_home_format(settings)
    return [path.name for path in paths]


@report_errors(SettingError, HomeFormatError, OSError, code=1)
def main() -> int:
    """Migrate SEGUE_HOME."""
    settings = load_settings()
    removed = migrate(settings)
    if removed:
        print(f"removed from {settings.home}: {', '.join(removed)}; `make run` rebuilds them")
    else:
        print(f"{settings.home} has the current format")
    return 0


if __name__ == "__main__":
    sys.exit(main())

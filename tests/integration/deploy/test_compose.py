"""Compose file: Airflow's commands exist on this machine; `tests/contract/deploy/test_compose.py` has the rest."""

import os
import sys

from tests.contract.deploy.test_compose import COMMANDS
from tests.support.pipeline_commands import run_to_end

PARSE = """
import sys
from airflow.cli.cli_parser import get_parser
for command in sys.argv[1:]:
    print(get_parser().parse_args(command.split()).func)
"""


def test_airflow_has_the_commands_of_its_services(tmp_path):
    arguments = [" ".join(command[1:]) for command in COMMANDS.values() if command[0] == "airflow"]
    variables = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")}
    assert len(run_to_end([sys.executable, "-c", PARSE, *arguments], variables).splitlines()) >= len(arguments) == 5


def test_the_init_service_creates_the_database_and_a_private_password(tmp_path):
    environment = {
        **os.environ,
        **{"SEGUE_HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW_PASSWORD": "given"},
    }
    run_to_end([sys.executable, "-m", "local.environment", *COMMANDS["airflow-init"]], environment, timeout_s=180)
    assert (tmp_path / "airflow" / "airflow.db").stat().st_size > 0
    assert (tmp_path / "airflow" / "passwords.json").read_text() == '{"segue": "given"}'

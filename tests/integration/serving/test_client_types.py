"""`make acceptance`: the types of the generated Python client, as mypy sees them in a program that uses it."""

import subprocess
import sys

from clients.generate import write_clients
from tests.support.tiers import acceptance_only


@acceptance_only
def test_mypy_accepts_the_python_client(tmp_path):
    write_clients(tmp_path)
    script = tmp_path / "example.py"
    script.write_text(
        "from segue_client import SegueClient\n"
        "segue = SegueClient()\n"
        "for item in segue.recommend(user_id='u')['items']:\n"
        "    reveal_type(item['title'])\n"
        "segue.recommend(user='u')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null", str(script)]
    variables = {"MYPYPATH": str(tmp_path / "python"), "PATH": ""}
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    lines = done.stdout.splitlines()
    assert 'Revealed type is "str"' in lines[0] or 'Revealed type is "builtins.str"' in lines[0], done.stdout
    assert 'Unexpected keyword argument "user" for "recommend"' in lines[1] and "Found 1 error" in lines[-1], (
        done.stdout
    )

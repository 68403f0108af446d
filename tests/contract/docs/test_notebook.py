"""Notebooks of the documentation: valid, executed in order without an error; the pipeline test executes them again."""

import json
import subprocess
import sys

import pytest

from config import settings

NOTEBOOKS = sorted(settings.ROOT.glob("docs/*.ipynb"))


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def run(path, *arguments):
    command = [sys.executable, settings.ROOT / "docs" / "run_notebook.py", path, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_was_executed_in_order(path):
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["metadata"]["language_info"]["name"]) == (4, "python")
    assert [cell["execution_count"] for cell in cells(path)] == list(range(1, len(cells(path)) + 1))
    for cell in cells(path):
        compile("".join(cell["source"]), path.name, "exec")
        assert cell["outputs"] and {output["output_type"] for output in cell["outputs"]} == {"stream"}
    text = path.read_text()
    assert str(settings.ROOT) not in text and "/tmp/" not in text


def write(path, *sources):
    code = [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": [one]}
        for one in sources
    ]
    path.write_text(json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))


def test_cells_share_a_namespace_and_their_output_is_stored(tmp_path):
    write(tmp_path / "n.ipynb", "a = 2", "print(a + 1)\nprint('é')")
    done = run(tmp_path / "n.ipynb", "--write")
    assert (done.returncode, done.stdout) == (0, "3\né\n")
    assert [cell["outputs"] for cell in cells(tmp_path / "n.ipynb")] == [
        [],
        [{"output_type": "stream", "name": "stdout", "text": ["3\n", "é\n"]}],
    ]


def test_an_error_names_the_cell_and_changes_nothing(tmp_path):
    write(tmp_path / "n.ipynb", "a = 2", "print(b)")
    before = (tmp_path / "n.ipynb").read_text()
    done = run(tmp_path / "n.ipynb", "--write")
    assert done.returncode == 1 and "cell 2" in done.stderr and "NameError" in done.stderr
    assert (tmp_path / "n.ipynb").read_text() == before

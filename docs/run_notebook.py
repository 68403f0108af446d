"""Execute a notebook without Jupyter: `python docs/run_notebook.py FILE [--write]`.

Every code cell runs in order in one namespace, and what it prints is printed. `--write` stores the output in the notebook.
An error stops it with the traceback and exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def execute(notebook: dict[str, Any], name: str) -> dict[str, Any]:
    """The notebook with the outputs of its code cells, which print while they run."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            cells.append(cell)
            continue
        number = sum(one["cell_type"] == "code" for one in cells) + 1
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec"), namespace)  # noqa: S102
        text = printed.getvalue()
        print(text, end="")
        output = {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}
        cells.append(cell | {"execution_count": number, "outputs": [output] if text else []})
    return notebook | {"cells": cells}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Execute a notebook without Jupyter")
    parser.add_argument("file", type=Path)
    parser.add_argument("--write", action="store_true", help="store the output in the notebook")
    options = parser.parse_args()
    executed = execute(json.loads(options.file.read_text(encoding="utf-8")), options.file.name)
    if options.write:
        options.file.write_text(json.dumps(executed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Documents refer only to files, make targets, modules and settings that exist."""

import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

from config import settings
from tests.support import documented_commands

ROOT = settings.ROOT
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "deploy" / "README.md",
        ROOT / "serving" / "README.md",
    ]
)
HISTORY = {ROOT / "CHANGELOG.md", *(ROOT / "docs" / "log").glob("*.md")}
"""Pages that name commands of earlier versions."""
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_points_to_an_existing_file(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY], ids=page_name)
def test_every_make_target_and_module_exists(page: Path) -> None:
    text = page.read_text()
    code = (
        "\n".join(re.findall(r"```\n(.*?)```", text, flags=re.DOTALL))
        + "\n"
        + "\n".join(re.findall(r"`([^`\n]+)`", text))
    )
    assert set(re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z]+)", code, flags=re.MULTILINE)) <= TARGETS
    modules = {name.rstrip(".") for name in re.findall(r"python -m ([a-z_.]+)", text) if name.split(".")[0] in PACKAGES}
    assert [name for name in modules if find_spec(name) is None] == []


@pytest.mark.parametrize("page", documented_commands.PAGES)
def test_every_command_is_executed_by_a_test(page: str) -> None:
    known = {*documented_commands.QUICK, *documented_commands.ELSEWHERE}
    assert [command for command in documented_commands.commands(page) if command not in known] == []


def test_every_listed_command_is_documented_and_its_test_exists() -> None:
    assert [test for test in documented_commands.ELSEWHERE.values() if not (ROOT / "tests" / test).exists()] == []
    assert {*documented_commands.QUICK, *documented_commands.ELSEWHERE} <= {
        command for page in documented_commands.PAGES for command in documented_commands.commands(page)
    }


@pytest.mark.parametrize("name", ["settings", "api", "contract"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    page = runpy.run_path(str(ROOT / "docs" / f"{name}_page.py"))
    written = page["PAGE"].read_text()
    assert written == page["render_page"](written), f"run python docs/{name}_page.py"


def test_the_settings_page_lists_exactly_the_make_targets() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert set(re.findall(r"^\| `make ([a-z]+)`", page, flags=re.MULTILINE)) == TARGETS

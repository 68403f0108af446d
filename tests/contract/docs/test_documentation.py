"""What the documentation says is there: files, verbs, modules, settings."""

import inspect
import re
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
        *(ROOT / "ingestion").rglob("*.md"),
    ]
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
VERBS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_something(page: Path) -> None:
    lost = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_verb_and_module_is_there(page: Path) -> None:
    text = page.read_text()
    shown = "\n".join(re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)) + "\n".join(re.findall(r"`([^`\n]+)`", text))
    assert set(re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z]+)", shown, flags=re.MULTILINE)) <= VERBS
    ours = ("ingestion", "quality", "sequences", "training", "serving", "local", "tests")
    modules = {one.rstrip(".") for one in re.findall(r"python -m ([a-z_.]+)", text) if one.split(".")[0] in ours}
    assert [one for one in modules if find_spec(one) is None] == []


@pytest.mark.parametrize("page", documented_commands.PAGES)
def test_every_command_is_executed_by_a_test(page: str) -> None:
    known = {*documented_commands.QUICK, *documented_commands.ELSEWHERE}
    assert [command for command in documented_commands.commands(page) if command not in known] == []


def test_what_executes_commands_is_there_and_no_command_is_kept_for_nothing() -> None:
    assert [test for test in documented_commands.ELSEWHERE.values() if not (ROOT / "tests" / test).exists()] == []
    shown = {command for page in documented_commands.PAGES for command in documented_commands.commands(page)}
    assert {*documented_commands.QUICK, *documented_commands.ELSEWHERE} <= shown


def test_the_settings_page_has_every_setting_and_no_other() -> None:
    told = set(re.findall(r"^\| `(SEGUE_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), flags=re.MULTILINE))
    read = set(re.findall(r'"(SEGUE_[A-Z_]+)"', inspect.getsource(settings)))
    elsewhere = {"SEGUE_THREADS": "training/**/*.py", "SEGUE_DBT_MEMORY": "dbt/*.yml", "SEGUE_DBT_THREADS": "dbt/*.yml"}
    assert all(any(name in file.read_text() for file in ROOT.glob(where)) for name, where in elsewhere.items())
    assert told == read | set(elsewhere)


def test_the_settings_page_has_every_verb_and_no_other() -> None:
    told = set(re.findall(r"^\| `make ([a-z]+)`", (ROOT / "docs" / "settings.md").read_text(), flags=re.MULTILINE))
    assert told == VERBS

"""The page of the models: each has its section, its picture as it is drawn, and its place as it was measured."""

import re
import runpy

import pytest

from config import settings
from training.train import MODEL_TABLES, model_names

DOCS = settings.ROOT / "docs"
DRAW = runpy.run_path(str(DOCS / "draw.py"))
TEXTS = (DOCS / "models.md").read_text(encoding="utf-8").split("\n### ")[1:]
SECTIONS = {word: text for text in TEXTS for word in text.splitlines()[0].split(" and ")}
MODELS = [name for table in MODEL_TABLES for name in model_names(table)]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_picture_and_its_place(name: str) -> None:
    (picture,) = re.findall(r"!\[[^\]]+\]\(drawings/(\w+)\.svg\)", SECTIONS[name])
    assert picture in DRAW["PICTURES"]
    assert re.search(r"\*\*Measured\*\*.*\d", SECTIONS[name], flags=re.DOTALL)


def test_there_is_no_section_of_a_model_that_is_gone() -> None:
    assert set(SECTIONS) == set(MODELS)


def test_the_entries_of_the_diary_that_it_names_are_there() -> None:
    page = " ".join((DOCS / "models.md").read_text(encoding="utf-8").split())
    titles = set(
        re.findall(r"^## \S+ · (.+)$", (DOCS / "experiments.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    named = set(re.findall(r'"([^"]+)"', page))
    assert named and named <= titles


def test_pictures_are_as_they_are_drawn() -> None:
    drawn = {f"{name}.svg": DRAW["drawn"](text) for name, text in DRAW["PICTURES"].items()}
    assert {file.name: file.read_text(encoding="utf-8") for file in (DOCS / "drawings").iterdir()} == drawn


def test_a_box_stands_behind_what_leads_to_it_and_before_what_it_leads_to() -> None:
    arrows = DRAW["links"]("a > b\nb > c\nd > c")
    assert arrows == [("a", "b"), ("b", "c"), ("d", "c")]
    assert DRAW["columns"](arrows) == [["a"], ["b", "d"], ["c"]]

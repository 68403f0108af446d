"""The models page: each model has a section with a diagram and a measured result."""

import re

import pytest

from config import settings
from training.train import MODEL_TABLES, model_names

DOCS = settings.ROOT / "docs"
TEXTS = (DOCS / "models.md").read_text(encoding="utf-8").split("\n### ")[1:]
SECTIONS = {word: text for text in TEXTS for word in text.splitlines()[0].split(" and ")}
MODELS = [name for table in MODEL_TABLES for name in model_names(table)]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_diagram_and_a_measured_result(name: str) -> None:
    (diagram,) = re.findall(r"```mermaid\nflowchart LR\n(.*?)```", SECTIONS[name], flags=re.DOTALL)
    assert all(
        re.fullmatch(r"  n\d+(\[\"[^\"]+\"\])? --> n\d+(\[\"[^\"]+\"\])?", line) for line in diagram.splitlines()
    )
    assert re.search(r"\*\*Measured\*\*.*\d", SECTIONS[name], flags=re.DOTALL)


def test_no_section_describes_a_removed_model() -> None:
    assert set(SECTIONS) == set(MODELS)

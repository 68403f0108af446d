"""The page of the data contract equals the contract in code."""

import runpy

from config import settings


def test_the_page_is_up_to_date() -> None:
    page = runpy.run_path(str(settings.ROOT / "docs" / "contract_page.py"))
    assert page["PAGE"].read_text(encoding="utf-8") == page["render_page"](), "run python docs/contract_page.py"


def test_every_column_has_a_description() -> None:
    assert "|  |" not in runpy.run_path(str(settings.ROOT / "docs" / "contract_page.py"))["render_page"]()

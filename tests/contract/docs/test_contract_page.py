"""The page of the data contract says what the contract says."""

import runpy

from config import settings


def test_the_page_is_as_the_contract_writes_it() -> None:
    page = runpy.run_path(str(settings.ROOT / "docs" / "contract_page.py"))
    assert page["PAGE"].read_text(encoding="utf-8") == page["written"](), "run python docs/contract_page.py"


def test_every_column_of_the_contract_says_what_it_means() -> None:
    page = runpy.run_path(str(settings.ROOT / "docs" / "contract_page.py"))["written"]()
    assert "|  |" not in page

"""The tables of dbt equal the contract in code; `test_documentation.py` has the page."""

import re
import runpy

from config import settings
from event_store.behaviors import EVENT_TARGET_TYPES, POLARITIES, TARGET_TYPES

DBT_SCHEMAS = "".join(path.read_text() for path in (settings.ROOT / "dbt").rglob("*.yml"))


def test_the_seed_of_dbt_is_up_to_date() -> None:
    page = runpy.run_path(str(settings.ROOT / "docs" / "contract_page.py"))
    assert page["SEED"].read_text(encoding="utf-8") == page["render_seed"](), "run python docs/contract_page.py"


def test_dbt_accepts_the_values_of_the_contract() -> None:
    accepted = re.findall(r"name: (target_type|polarity)\n(?:(?!      - name).*\n)*?.*values: \[(.*)\]", DBT_SCHEMAS)
    assert {tuple(values.split(", ")) for column, values in accepted if column == "polarity"} == {POLARITIES}
    targets = [tuple(values.split(", ")) for column, values in accepted if column == "target_type"]
    assert sorted(targets, key=len) == [TARGET_TYPES] * 3 + [EVENT_TARGET_TYPES]

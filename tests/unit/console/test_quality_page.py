"""Pages of the data quality."""

import json

import pytest

from console.quality_page import render_table_page
from tests.support.console_home import QUALITY


@pytest.fixture
def here(here):
    here.reports.mkdir(parents=True)
    (here.reports / "data_quality.json").write_text(json.dumps(QUALITY))
    return here


def test_columns_of_a_mart_are_sorted_by_their_drift(here):
    page = render_table_page("events", here)
    assert page.index('<a href="#action">') < page.index('<a href="#scene">')
    assert '<span class="bad">0.400</span>' in page
    assert "&lt;skip&gt;" in page and "<skip>" not in page
    assert '<td class="number">25.0%</td><td class="number">0.0%</td>' in page, "nulls of the newest day, and before"


@pytest.mark.parametrize("name", ["exposures", "unknown", "../x"])
def test_marts_without_rows_have_no_page(here, name):
    assert render_table_page(name, here) is None

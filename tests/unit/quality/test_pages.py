"""Pages of a validation are replaced, not changed in place, so that the console never reads half of one."""

from __future__ import annotations

from pathlib import Path

from quality.validate import write_page


def test_a_reader_keeps_the_page_that_it_has_opened(tmp_path: Path) -> None:
    page = write_page(tmp_path / "marts", "<p>é</p>", "{}")
    with page.open(encoding="utf-8") as opened, (page.with_name("outcome.json")).open() as data:
        assert write_page(tmp_path / "marts", "<p>new</p>", '{"suites": []}') == page
        assert (opened.read(), data.read()) == ("<p>é</p>", "{}\n")
    assert page.read_text() == "<p>new</p>"

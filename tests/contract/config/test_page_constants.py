"""The page, which cannot read dbt/dbt_project.yml, has the same threshold."""

from config.settings import ROOT
from sequences.behaviors import load_behaviors


def test_the_page_has_dbts_share_of_a_full_play():
    assert f"FULL_PLAY_SHARE = {load_behaviors().full_play_ratio};" in (ROOT / "serving/page/engine.js").read_text()

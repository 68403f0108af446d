"""One name per metric."""

import pytest

from web import format_metric_name, is_lower_better


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("recall_at_200", "recall@200"),
        ("recall_at_200/all", "recall@200"),
        ("recall_at_200/reachable", "recall@200, reachable discoveries"),
        ("reachable_recall_at_30", "recall@30, reachable discoveries"),
        ("ndcg_at_10", "NDCG@10"),
        ("not_skipped/gauc", "not skipped, GAUC"),
        ("standard_error", "standard error"),
    ],
)
def test_a_key_has_one_name(key, name):
    assert format_metric_name(key) == name


def test_errors_and_skips_are_better_if_lower():
    assert is_lower_better("full_play/logloss") and is_lower_better("skip_rate") and not is_lower_better("auc")

"""Metrics of which less is better."""

from web import is_lower_better


def test_errors_and_skips_are_better_if_lower():
    assert is_lower_better("full_play/logloss") and is_lower_better("skip_rate") and not is_lower_better("auc")

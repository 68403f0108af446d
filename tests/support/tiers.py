"""Markers of test tiers."""

import os

import pytest

acceptance_only = pytest.mark.skipif(not os.environ.get("SEGUE_ACCEPTANCE"), reason="slow; run it by: make acceptance")

"""The home that pages of the console show."""

import pytest

from tests.support import console_home


@pytest.fixture
def reported(here):
    """A home with one of each report and two releases."""
    console_home.write_reports(here)
    return here

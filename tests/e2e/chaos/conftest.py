"""The home that the tests of a module copy."""

import pytest

from tests.support.chaos import homes


@pytest.fixture(scope="package")
def template(tmp_path_factory):
    with homes.template(tmp_path_factory.mktemp("template") / "home") as home:
        yield home

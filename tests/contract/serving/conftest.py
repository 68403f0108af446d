"""A server of the client's app."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.support.serving.http_server import serve


@pytest.fixture(scope="module")
def url(client: TestClient) -> Iterator[str]:
    """Address of the service of `test_service.client`."""
    with serve(client.app) as url:
        yield url

"""Shared fixtures, and the import order that all tests rely on."""

# prometheus_client chooses the storage of its metrics at import. If BentoML is imported first, all registries of the process
# share files; tests need separate registries.
import prometheus_client  # noqa: F401
import pytest

pytest.register_assert_rewrite("tests.support")
pytest_plugins = ["tests.support.training.tiny_world"]

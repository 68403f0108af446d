"""What every test relies on: the plugin of shared fixtures, and an import order."""

# Prometheus decides at import where its numbers live. BentoML, imported first, makes that files shared by every registry
# of the process; tests count in registries of their own.
import prometheus_client  # noqa: F401
import pytest

pytest.register_assert_rewrite("tests.support")
pytest_plugins = ["tests.support.training.tiny_world"]

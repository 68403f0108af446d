"""What every test relies on."""

# Prometheus decides at import where its numbers live. BentoML, imported first, makes that files shared by every registry
# of the process; tests count in registries of their own.
import prometheus_client  # noqa: F401

"""Base template, style sheet and template environment shared by all HTML pages except the listener's page; the operator's
password, and rate limits.
"""

from web.jinja_environment import create_environment

__all__ = ["create_environment"]

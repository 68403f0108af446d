"""Message catalogs: every text that a listener reads, one JSON file per language, shared with the listening page.

Sections of `catalogs/<language>.json`: `reasons` (by reason code), `ago` (times in the past), `page`, `behaviors`,
`scenes`, `channels`, `tasks` (predictions of the ranker) and `facets` (names of languages, styles, listening scenes,
emotions and themes by their value in the data).
Independent of HTTP or channels.
"""

from __future__ import annotations

import json
import logging
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from recommender.recall.reason import Reason, ReasonParameter

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
MESSAGES_FOLDER = Path(__file__).parent / "catalogs"
FACET_SEPARATOR = " · "
TIME_UNITS = (("years", 365, 730), ("months", 30, 60), ("weeks", 7, 14), ("days", 1, 0))
"""Unit of times in the past, its days, and the smallest number of days that is shown in it."""

logger = logging.getLogger(__name__)


@cache
def load_messages(language: Language) -> dict[str, Any]:
    """The catalog of a language."""
    return json.loads((MESSAGES_FOLDER / f"{language}.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=10_000)  # a stored list has the same reasons at every request
def render_reason(reason: Reason | None, language: Language) -> str:
    """A reason as a sentence; empty for None and for a code without a message, which is logged once."""
    if reason is None:
        return ""
    template = load_messages(language)["reasons"].get(reason.code)
    if template is None:
        _log_missing_message(reason.code)
        return ""
    names = {name: render_parameter(value, language) for name, value in reason.parameters.items()}
    if isinstance(days := reason.parameters.get("days"), int):
        names["ago"] = render_days_ago(days, language)
    return str(template.format(**names))


def render_parameter(value: ReasonParameter, language: Language) -> str:
    """A parameter of a reason as text."""
    if isinstance(value, Reason):
        return render_reason(value, language)
    if not isinstance(value, tuple):
        return str(value)
    messages = load_messages(language)
    if any(isinstance(one, Reason) for one in value):
        return str(messages["stepSeparator"]).join(render_parameter(one, language) for one in value)
    return FACET_SEPARATOR.join(messages["facets"].get(one, one) for one in value)


def render_days_ago(days: int, language: Language) -> str:
    """A time in the past in words: days, from 14 on weeks, from 60 on months, from two years on years."""
    unit, length = next((unit, length) for unit, length, least in TIME_UNITS if days >= least)
    count = days // length
    forms = load_messages(language)["ago"]
    return str(forms[f"{unit}_1" if count == 1 else unit]).format(count=count)


@cache
def _log_missing_message(code: str) -> None:
    logger.warning("reason %r has no message; add it to the catalogs in %s", code, MESSAGES_FOLDER)

"""Write the table of settings in `docs/settings.md` from `config/settings.py`: `python docs/settings_page.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

sys.path.insert(0, str(Path(__file__).parents[1]))
from config import settings

PAGE = Path(__file__).parent / "settings.md"
HEADER = "| variable | default | |\n|---|---|---|\n"
CLASSES = (
    settings.Settings,
    settings.AccessSettings,
    settings.JwtSettings,
    settings.HttpSettings,
    settings.MusicServerSettings,
    settings.TrainingSettings,
    settings.Lifetimes,
)


def render_page(page: str) -> str:
    """The page with the present fields in its first table."""
    introduction, table = page.split(HEADER, 1)
    rows = "".join(_row(field) for group in CLASSES for field in group.model_fields.values())
    return introduction + HEADER + rows + table[table.index("\n\n") + 1 :]


def _row(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = ",".join(value) if isinstance(value, tuple) else str(value).removeprefix(f"{settings.ROOT}/")
    default = f" `{text}` " if text and value not in (None, {}, PydanticUndefined) else " "
    return f"| `{field.validation_alias}` |{default}| {field.description} |\n"


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

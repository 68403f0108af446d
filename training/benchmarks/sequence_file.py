"""Parser of plain sequence files: one line `id item item …` per user, items in temporal order.

Leave-one-out (the files of S3-Rec: Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential Recommendation with
Mutual Information Maximization", CIKM 2020, arXiv 2008.07873): the last item of a line is test, the one before it
validation. With a separate test file of lines `item item …<TAB>target`, the last item of a line is validation.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sequences:
    """Split sequences of all users."""

    train: list[list[str]]  # training items of each user, oldest first
    validation: list[str]  # next item of each user
    test: list[tuple[list[str], str]]  # (history, next item)
    is_leave_one_out: bool  # whether history u of `test` is `train[u]` followed by `validation[u]`

    @property
    def items(self) -> list[str]:
        """The catalog, sorted: all items of the sequence file, as in the published protocol, but not those of a test
        file.
        """
        catalog = {item for items in self.train for item in items} | set(self.validation)
        return sorted(catalog | ({target for _, target in self.test} if self.is_leave_one_out else set()))

    @property
    def has_repeats(self) -> bool:
        """Whether a training sequence contains an item more than once."""
        return any(len(set(items)) < len(items) for items in self.train)


def read_sequences(path: Path, test: Path | None = None) -> Sequences:
    """Read the sequences of a file and, if there is one, the requests of its test file.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A line is invalid; the message names it.
    """
    minimum, reason = (2, "one to train on, one to validate") if test else (3, "one to train on, two held out")
    line_of_id: dict[str, int] = {}
    rows = []
    for number, line in _lines(path):
        name, *items = line.split()
        if name in line_of_id:
            raise ValueError(
                f"{path}, line {number}: id {name!r} is already on line {line_of_id[name]}; join the two lines, "
                "each user has one line"
            )
        if len(items) < minimum:
            raise ValueError(
                f"{path}, line {number}: {len(items)} items after id {name!r}, at least {minimum} are required "
                f"({reason}); remove the line, and check that lines are `id item item …`"
            )
        line_of_id[name] = number
        rows.append(items)
    if not rows:
        raise ValueError(f"{path} has no line; write one line `id item item …` per user")
    if test is None:
        pairs = [(items[:-1], items[-1]) for items in rows]
        return Sequences([items[:-2] for items in rows], [items[-2] for items in rows], pairs, is_leave_one_out=True)
    return Sequences(
        [items[:-1] for items in rows], [items[-1] for items in rows], _pairs(test), is_leave_one_out=False
    )


def read_attributes(path: Path, items: list[str]) -> dict[str, list[str]]:
    """Distinct attributes of each item that has any, most frequent first, from JSON `{item: [attribute, …]}`.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: It is not JSON of this form, or has none of the items.
    """
    try:
        content = json.loads(_require_file(path).read_text(encoding="utf-8"))
        lists = {
            str(item): [str(value) for value, _ in Counter(values).most_common()] for item, values in content.items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not JSON of the form {{item: [attribute, …]}}: {error}") from error
    attributes = {item: lists[item] for item in items if lists.get(item)}
    if not attributes:
        raise ValueError(f"{path} has attributes for none of the {len(items)} items; give the file of the same data")
    return attributes


def _pairs(path: Path) -> list[tuple[list[str], str]]:
    pairs = []
    for number, line in _lines(path):
        history, tab, target = line.rpartition("\t")
        if not tab or len(target.split()) != 1:
            raise ValueError(f"{path}, line {number}: no single item after a tab; write `item item …<TAB>target`")
        pairs.append((history.split(), target.strip()))
    if not pairs:
        raise ValueError(f"{path} has no line; write one line `item item …<TAB>target` per request")
    return pairs


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    try:
        text = _require_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); give a plain sequence file") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; check the path")
    return path

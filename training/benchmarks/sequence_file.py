"""Plain sequence files: `id item item …`, a user a line, items in the order of time. Knows nothing about models.

Leave-one-out (the files of S3-Rec: Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential Recommendation with
Mutual Information Maximization", CIKM 2020, arXiv 2008.07873): a line's last item is test, the one before it
validation. With a test file of its own, whose lines are `item item …<TAB>target`, a line's last item is validation.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sequences:
    """`learned[u]`: what may be learned from, oldest first; `validation[u]`: the item after it; `test`: pairs of a
    history and the item after it. `continues`: history u of `test` is that of user u, with `validation[u]` at its end.
    """

    train: list[list[str]]
    validation: list[str]
    test: list[tuple[list[str], str]]
    is_leave_one_out: bool

    @property
    def items(self) -> list[str]:
        """The catalogue, sorted: every item of the sequence file, as in the published protocol; none that only a test
        file has.
        """
        known = {item for items in self.train for item in items} | set(self.validation)
        return sorted(known | ({target for _, target in self.test} if self.is_leave_one_out else set()))

    @property
    def has_repeats(self) -> bool:
        """Whether somebody came back to an item in what may be learned from."""
        return any(len(set(items)) < len(items) for items in self.train)


def read_sequences(path: Path, test: Path | None = None) -> Sequences:
    """The sequences of a file, and the requests of its test file where it has one.

    Raises:
        FileNotFoundError: a file is missing. ValueError: a line is not as it should be; the message names it.
    """
    needed, why = (2, "one to learn from, one to validate") if test else (3, "one to learn from, two held out")
    seen: dict[str, int] = {}
    rows = []
    for number, line in _lines(path):
        name, *items = line.split()
        if name in seen:
            raise ValueError(
                f"{path}, line {number}: id {name!r} was on line {seen[name]} already; join the two lines, a user has one"
            )
        if len(items) < needed:
            raise ValueError(
                f"{path}, line {number}: {len(items)} items after id {name!r}, at least {needed} are needed ({why}); "
                "drop the line, and see that lines are `id item item …`"
            )
        seen[name] = number
        rows.append(items)
    if not rows:
        raise ValueError(f"{path} has no line; write `id item item …`, a user a line")
    if test is None:
        pairs = [(items[:-1], items[-1]) for items in rows]
        return Sequences([items[:-2] for items in rows], [items[-2] for items in rows], pairs, is_leave_one_out=True)
    return Sequences(
        [items[:-1] for items in rows], [items[-1] for items in rows], _pairs(test), is_leave_one_out=False
    )


def read_attributes(path: Path, items: list[str]) -> dict[str, list[str]]:
    """Item ▸ its distinct attributes, the most often named first, for the `items` that have any, from JSON
    `{item: [attribute, …]}`.

    Raises:
        FileNotFoundError: there is no such file. ValueError: it is not such JSON, or knows none of the items.
    """
    try:
        found = json.loads(_require_file(path).read_text(encoding="utf-8"))
        lists = {str(item): [str(one) for one, _ in Counter(of_item).most_common()] for item, of_item in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not JSON of the form {{item: [attribute, …]}}: {error}") from error
    known = {item: lists[item] for item in items if lists.get(item)}
    if not known:
        raise ValueError(f"{path} has attributes for none of the {len(items)} items; give the file of the same data")
    return known


def _pairs(path: Path) -> list[tuple[list[str], str]]:
    pairs = []
    for number, line in _lines(path):
        history, tab, target = line.rpartition("\t")
        if not tab or len(target.split()) != 1:
            raise ValueError(f"{path}, line {number}: no single item after a tab; write `item item …<TAB>target`")
        pairs.append((history.split(), target.strip()))
    if not pairs:
        raise ValueError(f"{path} has no line; write `item item …<TAB>target`, a request a line")
    return pairs


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not blank."""
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

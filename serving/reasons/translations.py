"""Reasons in the listener's language: the sentences that channels make are English, and each has its counterpart here.

A sentence is taken apart by the pattern it was made with, and what it names (songs, artists, genres) is put into the other
language's pattern as it is. One that has no counterpart stays English. Knows nothing about HTTP or channels.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

Language = Literal["en", "zh"]

SENTENCES = {
    "because it is among the most played tracks": "因为它是播放最多的歌曲之一",
    "because it is among the most opened": "因为它是打开最多的之一",
    "because it is close to {track}": "因为它与 {track} 相近",
    "because {people} people have listened to it": "因为有 {people} 人听过它",
    "because it has been listened to {times} times": "因为它被听过 {times} 次",
    "because it has been listened to once": "因为它被听过一次",
    "because many open it": "因为很多人打开它",
    "because you opened it not long ago": "因为你不久前打开过它",
    "because you opened {container}": "因为你打开过 {container}",
    "because you played it just now": "因为你刚刚听过它",
    "because you played {track} just now": "因为你刚刚听过 {track}",
    "because it is among the last songs that you played": "因为它是你最近播放的歌曲之一",
    "because {track} is among the last songs that you played": "因为 {track} 是你最近播放的歌曲之一",
    "because it fits what is playing now": "因为它适合正在播放的内容",
    "because you keep coming across it": "因为你总会遇到它",
    "because you have listened to it before": "因为你听过它",
    "because you have listened to it once": "因为你听过一次",
    "because you have listened to it once, last {days} days ago": "因为你听过一次，在 {days} 天前",
    "because you have listened to it {times} times": "因为你听过 {times} 次",
    "because you have listened to it {times} times, last {days} days ago": "因为你听过 {times} 次，最近一次在 {days} 天前",
    "because you keep listening to {track}": "因为你一直在听 {track}",
    "because it fits what you listen to": "因为它适合你的口味",
    "because it is near to what you listen to": "因为它接近你听的音乐",
    "because you listen to {name}": "因为你在听 {name}",
}
PATH_SENTENCES = {
    "{x} and {y} both sang for the soundtrack of {z}": "{x} 和 {y} 都为 {z} 献唱",
    "{x} and {y} are both in the playlist {z}": "{x} 和 {y} 都在歌单 {z} 里",
    "{x} and {y} are both of the theme {z}": "{x} 和 {y} 的主题都是 {z}",
    "{x} and {y} are both by {z}": "{x} 和 {y} 都来自 {z}",
    "{x} and {y} are both in {z}": "{x} 和 {y} 的语种都是 {z}",
    "{x} and {y} are both on {z}": "{x} 和 {y} 都收录于 {z}",
    "{x} and {y} both go with {z}": "{x} 和 {y} 都适合 {z}",
    "{x} and {y} are both {z}": "{x} 和 {y} 都属于 {z}",
    "people play {y} next to {x}": "人们会接着 {x} 播放 {y}",
    "the music graph places {y} near {x}": "音乐图谱中 {y} 与 {x} 相近",
    "{x} is by {y}": "{x} 来自 {y}",
}
"""What the music graph says behind `because you listen to …:`, the more special before the more general."""

NUMERIC_PLACEHOLDERS = ("days", "people", "times")
"""What of a sentence is a number, not a name."""
MAX_REASON_LENGTH = 1000
"""Characters of a sentence that is taken apart; names that are longer are nobody's."""
PATH = re.compile(r"because you listen to (.+?): (.+)", re.DOTALL)


def translate_reason(language: Language, reason: str) -> str:
    """The reason in that language; as it is, where it is in it already or has no counterpart."""
    if language == "en" or len(reason) > MAX_REASON_LENGTH:
        return reason
    path = PATH.fullmatch(reason)
    steps = _translate_path(path[2]) if path else None
    if path and steps:
        return f"因为你在听 {path[1]}：{steps}"
    return _translate_sentence(reason, SENTENCES) or reason


def _translate_sentence(said: str, words: dict[str, str]) -> str | None:
    """By the pattern with the most words of its own that fits."""
    for pattern, template in _patterns(tuple(words.items())):
        if found := pattern.fullmatch(said):
            return template.format(**found.groupdict())
    return None


def _translate_path(said: str) -> str | None:
    """Steps are parted by commas, and so may names be: each step is as few parts as leave steps behind it."""
    parts = said.split(", ")
    after: list[list[str] | None] = [None] * len(parts) + [[]]
    for begin in range(len(parts) - 1, -1, -1):
        for end in range(begin + 1, len(parts) + 1):
            rest = after[end]
            if rest is not None and (step := _translate_sentence(", ".join(parts[begin:end]), PATH_SENTENCES)):
                after[begin] = [step, *rest]
                break
    return "，".join(after[0]) if after[0] else None


@cache
def _patterns(words: tuple[tuple[str, str], ...]) -> list[tuple[re.Pattern[str], str]]:
    ordered = sorted(words, key=lambda pair: -len(re.sub(r"\{\w+\}", "", pair[0])))
    return [(_pattern(english), template) for english, template in ordered]


def _pattern(english: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", english)
    texts = [
        re.escape(part) if place % 2 == 0 else _placeholder_group(part, part in NUMERIC_PLACEHOLDERS)
        for place, part in enumerate(parts)
    ]
    return re.compile("".join(texts), re.DOTALL)


def _placeholder_group(name: str, is_number: bool) -> str:
    return rf"(?P<{name}>\d+)" if is_number else f"(?P<{name}>.+)"

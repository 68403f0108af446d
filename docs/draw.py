"""`python docs/draw.py`: the pictures of the models in `docs/drawings/`, each drawn from what flows into what.

A line is `this > that`; a box stands one column behind the last of those that lead to it, what nothing leads to just before the
first that it leads to. Colours: what is given, what is computed, what comes out. Knows nothing about the models.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).parent / "drawings"
HEIGHT, LETTER, GAP_X, GAP_Y, MARGIN = 34, 7.0, 46, 14, 12
GIVEN, COMPUTED, RESULT = "#eceff1", "#e3f2fd", "#e8f5e9"

PICTURES = {
    "popularity": """
        plays of everybody, by day > one a user, track and day
        one a user, track and day > fading sum
        languages and scene of the request > candidates
        fading sum > candidates
    """,
    "favourites": """
        last 2,000 plays of the user > age of every play ** −decay
        age of every play ** −decay > sum a track
        sum a track > candidates
    """,
    "realtime": """
        newest plays and clicks > item vector + behaviour + gap
        item vector + behaviour + gap > self-attention
        self-attention > what comes next
        self-attention > what comes next and is new
        what comes next > nearest items
        what comes next and is new > nearest items
        nearest items > candidates
        transitions from item to item > candidates
    """,
    "long_short": """
        newest plays > short-term state
        remembered tracks, artists, styles > attention of the user
        attention of the user > long-term state
        short-term state > gate
        long-term state > gate
        gate > repeat score
        gate > nearest new items
        how often, how lately > repeat score
        repeat score > candidates
        nearest new items > candidates
    """,
    "multi_interest": """
        history of listens > dynamic routing
        dynamic routing > interest 1
        dynamic routing > interest 2
        dynamic routing > interest K
        interest 1 > nearest items of each
        interest 2 > nearest items of each
        interest K > nearest items of each
        nearest items of each > candidates, by interest
    """,
    "knowledge_graph": """
        tracks and artists listened to > at most three hops
        artists, albums, genres, links of the log > at most three hops
        at most three hops > shared out a relation, hubs say little
        shared out a relation, hubs say little > unheard tracks, with their path
    """,
    "containers": """
        item vectors of realtime > mean of each playlist or mlog
        query of realtime > nearest
        what was opened before > nearest
        what many open > nearest
        mean of each playlist or mlog > nearest
        nearest > playlists, mlogs
    """,
    "sum_pooling": """
        recent events > mean
        mean > network
        candidate, user and track > network
        network > heads
    """,
    "target_attention": """
        recent events > attention
        candidate > attention
        candidate > exact match
        last 2,000 plays > exact match
        attention > network
        exact match > network
        numbers of user and track > network
        network > heads
    """,
    "interest_evolution": """
        listened to, in order > GRU
        GRU > GRU gated by attention
        candidate > GRU gated by attention
        candidate > exact match
        last 2,000 plays > exact match
        GRU gated by attention > network
        exact match > network
        network > heads
    """,
    "session_domains": """
        plays, cut into sessions > sessions asked by the candidate
        domains: full plays, skips, likes, left alone … > domains asked by the candidate
        long histories > exact and further searches
        sessions asked by the candidate > network
        domains asked by the candidate > network
        exact and further searches > network
        exact and further searches > boosted trees
        place in the list > bias, in training only
        network > heads
        boosted trees > heads
        bias, in training only > heads
    """,
    "listened": """
        whole requests of the past > their candidates
        their candidates > numbers of hard search
        numbers of hard search > boosted trees by lists (LambdaMART)
        boosted trees by lists (LambdaMART) > one more head, for every ranker
    """,
}


def links(text: str) -> list[tuple[str, str]]:
    """Who leads to whom."""
    pairs = [line.split(" > ") for line in text.strip().splitlines()]
    return [(begin.strip(), end.strip()) for begin, end in pairs]


def columns(arrows: list[tuple[str, str]]) -> list[list[str]]:
    """The boxes of each column, in the order in which they are named."""
    names = list(dict.fromkeys(name for arrow in arrows for name in arrow))
    place = dict.fromkeys(names, 0)
    for _ in names:  # as often as the longest way has boxes
        for begin, end in arrows:
            place[end] = max(place[end], place[begin] + 1)
    for name in names:
        if all(end != name for _, end in arrows):
            place[name] = min(place[end] for begin, end in arrows if begin == name) - 1
    return [[name for name in names if place[name] == column] for column in range(max(place.values()) + 1)]


def drawn(text: str) -> str:
    """The picture as SVG, on white, so that it can be read on a dark page as well."""
    arrows = links(text)
    placed = columns(arrows)
    tallest = max(map(len, placed))
    height = tallest * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    boxes: dict[str, tuple[float, float, float]] = {}
    left = float(MARGIN)
    for column in placed:
        width = max(len(name) for name in column) * LETTER + 20
        top = (height - len(column) * (HEIGHT + GAP_Y) + GAP_Y) / 2
        for row, name in enumerate(column):
            boxes[name] = (left, top + row * (HEIGHT + GAP_Y), width)
        left += width + GAP_X
    width = left - GAP_X + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
    ]
    for begin, end in arrows:
        (x, y, wide), (to_x, to_y, _) = boxes[begin], boxes[end]
        x, y, to_y = x + wide, y + HEIGHT / 2, to_y + HEIGHT / 2
        bend = GAP_X / 2
        way = f"M{x:g},{y:g} H{to_x - GAP_X:g} C{to_x - bend:g},{y:g} {to_x - bend:g},{to_y:g} {to_x - 6:g},{to_y:g}"
        lines.append(f'<path d="{way}" fill="none" stroke="#78909c"/>')
        lines.append(f'<path d="M{to_x:g},{to_y:g} l-8,-4 v8 z" fill="#78909c"/>')
    starts, ends = {begin for begin, _ in arrows}, {end for _, end in arrows}
    for name, (x, y, wide) in boxes.items():
        colour = GIVEN if name not in ends else COMPUTED if name in starts else RESULT
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{HEIGHT}" rx="6" fill="{colour}" stroke="#90a4ae"/>'
        )
        lines.append(
            f'<text x="{x + wide / 2:g}" y="{y + HEIGHT / 2 + 4.5:g}" text-anchor="middle" fill="#263238">{escape(name)}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    """Draw them all."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(drawn(text), encoding="utf-8")


if __name__ == "__main__":
    main()

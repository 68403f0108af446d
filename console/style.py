"""How the reading room looks: one style sheet, light and dark, phone width first; nothing loaded from anywhere."""

from __future__ import annotations

import html

STYLE = """
:root {
  color-scheme: light dark;
  --paper: light-dark(#fbfaf8, #15161a); --card: light-dark(#fff, #1e2026); --ink: light-dark(#1c1b1a, #ececea);
  --soft: light-dark(#5b5855, #a9a7a4); --line: light-dark(#dedad5, #34363d); --accent: light-dark(#b3261e, #ff8a80);
  --good: light-dark(#1b6e2e, #7bc98a); --bad: light-dark(#b00020, #ff9aa2);
  font: 16px/1.5 system-ui, sans-serif;
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1rem 4rem; background: var(--paper); color: var(--ink); }
h1 { font-size: 1.6rem; margin: .5rem 0 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; } h3 { font-size: 1rem; margin: 0; }
p { margin: .3rem 0; } a { color: var(--accent); } code { font-size: .9em; overflow-wrap: anywhere; }
.soft, small { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
:focus-visible { outline: 3px solid currentColor; outline-offset: 2px; }
.cards, .steps { display: grid; gap: .8rem; list-style: none; padding: 0; margin: 0; }
.cards { grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
.cards > li, .steps > li { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.cards > li, .steps > li { padding: .8rem 1rem; min-width: 0; }
.cards > li.missing { background: none; border-style: dashed; }
.steps h3::after { content: " ▸"; color: var(--soft); } .steps > li:last-child h3::after { content: ""; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; margin: .4rem 0; font-size: .9rem; }
dt, dd { margin: 0; min-width: 0; overflow-wrap: break-word; } dt { color: var(--soft); }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; margin-top: .3rem; }
@media (min-width: 60rem) { .steps { grid-template-columns: repeat(5, 1fr); } .steps dl { display: block; }
  .steps dt { font-size: .8rem; margin-top: .4rem; } .steps td, .steps th { font-size: .8rem; } }
"""

INDEX_LINK = '<p><a href="/">Everything to read</a></p>'


def render_page(title: str, body: str) -> str:
    """A whole page; `title` is text, `body` is HTML."""
    words = html.escape(title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{words}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def render_table(heads: list[str], rows: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    """A table that scrolls by itself where it is wide; cells are HTML, `numbers` are the columns of figures."""

    def cells(tag: str, row: list[str]) -> str:
        kinds = [' class="number"' if place in numbers else "" for place in range(len(row))]
        return "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{cells("th", heads)}</tr></thead><tbody>{body}</tbody></table></div>'


def render_definition_list(pairs: list[tuple[str, str]]) -> str:
    """A list of name and value; values are HTML."""
    return f"<dl>{''.join(f'<dt>{html.escape(name)}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>"


def render_link(address: str, words: str) -> str:
    """A link; both are text."""
    return f'<a href="{html.escape(address)}">{html.escape(words)}</a>'


def format_datetime(moment: str) -> str:
    """An ISO time as a person reads it, to the minute; other text as it is."""
    text = html.escape(moment)
    return f"{text[:10]} {text[11:16]} UTC" if len(text) >= 16 and text[10] == "T" else text

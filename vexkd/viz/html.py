"""Small pieces of a self-contained HTML report: page, table, figure."""

from html import escape
from pathlib import Path

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2433; --soft: #5b6579; --line: #d9dee8; --paper: #fff; --good: #14803c; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8f0; --soft: #98a2b6; --line: #333b4b; --paper: #141821; --good: #5fd38a; --bad: #ff8f86; }
}
body {
  font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1240px; margin: 2.5rem auto; padding: 0 1.25rem;
}
h1 { font-size: 1.9rem; margin: 0 0 .25rem; }
h2 { margin: 2.6rem 0 .6rem; font-size: 1.3rem; }
p { max-width: 78ch; }
.soft, figcaption { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { padding: .42rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; }
.good { color: var(--good); }
.bad { color: var(--bad); }
figure { margin: 1.1rem 0; }
figure img { max-width: 100%; border-radius: 8px; display: block; }
figcaption { font-size: .9rem; margin-top: .4rem; }
"""


def paragraph(text: str, soft: bool = False) -> str:
    """A paragraph of plain text."""
    return f"<p{' class=soft' if soft else ''}>{escape(text)}</p>"


def table(headers: list[str], rows: list[list[str]]) -> str:
    """A table; a cell that starts with a sign (a difference) is coloured."""
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(image: Path, caption: str, base: Path) -> str:
    """A picture, referred to relative to the report's folder ``base``."""
    source = escape(image.relative_to(base).as_posix())
    return f'<figure><img src="{source}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'


def page(title: str, lead: str, sections: list[tuple[str, list[str]]]) -> str:
    """A whole document from (heading, pieces)."""
    body = "".join(f"<h2>{escape(heading)}</h2>{''.join(pieces)}" for heading, pieces in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{paragraph(lead, soft=True)}{body}</body></html>\n"
    )


def _cell(text: str) -> str:
    kind = {"+": ' class="good"', "-": ' class="bad"'}.get(text[:1] if len(text) > 1 else "", "")
    return f"<td{kind}>{escape(text)}</td>"

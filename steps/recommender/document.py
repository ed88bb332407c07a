"""What pages of results are made of: HTML with its style inside and no script."""

from collections.abc import Sequence
from html import escape

from steps.recommender.metrics import Estimate


def document(kicker: str, heading: str, about: str, notes: Sequence[str], sections: Sequence[str]) -> str:
    """A whole page; `sections` are markup, `notes` are warnings that stand right below the heading."""
    warnings = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(kicker)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<style>{STYLE}</style></head>\n<body><main>"
        f'<header><p class="kicker">{escape(kicker)}</p><h1>{escape(heading)}</h1>'
        f"<p>{escape(about)}</p>{warnings}</header>\n" + "\n".join(sections) + "\n</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Parts, which are markup, under a heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def text(value: object) -> str:
    """Anything as text in markup."""
    return escape(str(value))


def figure(chart: str, caption: str) -> str:
    """A chart with a text below."""
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def table(about: str, header: Sequence[str], rows: Sequence[Sequence[str]], emphasised: str = "") -> str:
    """A table whose cells are markup already, with the row of that name emphasised. Too wide ones scroll."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(_row(cells, cells[0] == emphasised) for cells in rows)
    return (
        f'<p class="about">{escape(about)}</p>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(about)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[str], emphasised: bool) -> str:
    values = "".join(f"<td>{cell}</td>" for cell in cells[1:])
    emphasis = ' class="emphasis"' if emphasised else ""
    return f'<tr{emphasis}><th scope="row">{cells[0]}</th>{values}</tr>'


def estimate(found: Estimate, sign: str = "") -> str:
    """A figure and, less prominently, its interval."""
    ends = f"{found.low:{sign}.3f}, {found.high:{sign}.3f}"
    return f'{found.value:{sign}.3f} <span class="detail">[{ends}]</span>'


STYLE = """
:root { --paper: #fbfaf8; --card: #ffffff; --ink: #1d2126; --soft: #5d6570; --rule: #dedbd5; --model: #1f62b5;
  --other: #8a8f98; --note: #8a4b00; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --card: #1c2026; --ink: #e8e6e3; --soft: #a3aab4;
  --rule: #333941; --model: #7db4ff; --other: #8b929d; --note: #ffb866; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 2.5rem 1.1rem 4rem; }
h1 { font-size: clamp(1.25rem, 4.2vw, 1.75rem); line-height: 1.3; font-weight: 650; margin: .3rem 0 .8rem;
  text-wrap: balance; }
h2 { font-size: 1.1rem; margin: 0 0 .9rem; }
p { margin: .5rem 0; max-width: 42rem; }
.kicker, .about, figcaption { color: var(--soft); font-size: .875rem; }
.kicker { margin: 0; }
.about { margin: 1.1rem 0 .3rem; }
.note { color: var(--note); }
section { margin-top: 1.4rem; padding: 1.2rem; background: var(--card); border: 1px solid var(--rule);
  border-radius: 12px; }
figure { margin: 0 auto 1.1rem; max-width: 33rem; }
section > :last-child { margin-bottom: 0; }
svg { display: block; width: 100%; height: auto; font-size: 11.5px; }
figcaption { margin-top: .4rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--model); }
table { border-collapse: collapse; font-size: .875rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; font-weight: normal; padding: .38rem .8rem .38rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
thead th { color: var(--soft); }
tbody tr:last-child > * { border-bottom: 0; }
tr.emphasis > * { font-weight: 650; }
.detail { color: var(--soft); font-weight: normal; white-space: nowrap; }
svg text { fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .diagonal { stroke: var(--other); stroke-width: 1.5; stroke-dasharray: 4 4; }
svg .name { font-weight: 600; fill: var(--ink); }
svg .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
svg .interval { stroke-width: 3; stroke-linecap: round; opacity: .55; }
svg .mark { fill: none; stroke: var(--ink); stroke-width: 2; }
svg .model.line, svg .model.interval { stroke: var(--model); }
svg .other.line, svg .other.interval { stroke: var(--other); }
svg .model.dot, svg .model.bar, svg .model.swatch { fill: var(--model); }
svg .other.dot, svg .other.bar, svg .other.swatch { fill: var(--other); }
@media (max-width: 40rem) {
  section { padding: 1rem .8rem; }
  svg { font-size: 14px; }
  .detail { display: block; font-size: .8rem; }
}
@media print { section { break-inside: avoid; border: 0; padding: 0; } }
"""

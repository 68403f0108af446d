"""How the report looks: one style sheet, light and dark."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2129;
  --soft: #667085;
  --line: #e4e7ec;
  --paper: #fff;
  --memory: #98a2b3;
  --channel: #2e7fc1;
  --chosen: #c2410c;
  --second: #7a3e9d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8eaee;
    --soft: #98a2b3;
    --line: #333a45;
    --paper: #14171c;
    --memory: #7b8494;
    --channel: #5aa9e6;
    --chosen: #f28b50;
    --second: #c08be0;
  }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 24px 20px 80px; }
h1 { font-size: 28px; margin: 16px 0 8px; }
h2 { font-size: 20px; margin: 44px 0 4px; border-top: 1px solid var(--line); padding-top: 20px; }
h3 { font-size: 14px; margin: 20px 0 4px; color: var(--soft); font-weight: 600; }
p.lead { font-size: 17px; }
p.note, small { color: var(--soft); }
table { border-collapse: collapse; margin: 14px 0; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 7px; border-bottom: 1px solid var(--line); font-size: 13px; }
th, td { white-space: nowrap; vertical-align: top; }
th { font-weight: 600; } tr > :first-child, td.words, th.words { text-align: left; }
td.words { white-space: normal; min-width: 12em; }
td small { display: block; font-size: 11px; }
tr.chosen > th { color: var(--chosen); }
table.facts td, table.facts th { text-align: left; white-space: normal; }
td.heat { background: color-mix(in srgb, var(--channel) calc(var(--share) * 60%), transparent); }
.wide { overflow-x: auto; }
.figures { display: flex; flex-wrap: wrap; gap: 16px; }
figure { margin: 0; flex: 1 1 400px; }
figcaption { color: var(--soft); font-weight: 600; font-size: 14px; }
dt { font-weight: 600; margin-top: 8px; } dd { margin: 0 0 0 16px; }
svg.chart { width: 100%; height: auto; display: block; } svg.small { max-width: 520px; }
svg text { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
svg .label, svg .figure, svg .end { text-anchor: end; }
svg .start { text-anchor: start; }
svg .tick { fill: var(--soft); text-anchor: middle; font-size: 11px; }
svg .tick.end { text-anchor: end; }
svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); } svg .dashed { stroke-dasharray: 4 4; }
svg line.span { stroke-width: 2.5; }
svg line.memory { stroke: var(--memory); } svg circle.memory { fill: var(--memory); }
svg line.channel { stroke: var(--channel); } svg circle.channel { fill: var(--channel); }
svg line.chosen { stroke: var(--chosen); } svg circle.chosen { fill: var(--chosen); }
svg polyline { fill: none; stroke-width: 1.5; }
svg polyline.series0 { stroke: var(--channel); } svg circle.series0 { fill: var(--channel); }
svg polyline.series1 { stroke: var(--chosen); } svg circle.series1 { fill: var(--chosen); }
svg polyline.series2 { stroke: var(--second); } svg circle.series2 { fill: var(--second); }
svg polyline.series3 { stroke: var(--memory); } svg circle.series3 { fill: var(--memory); }
"""

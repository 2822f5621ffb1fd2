"""The style of the report: one column of cards, for light and dark, screen and paper, with nothing from elsewhere."""

STYLE = """
:root { color-scheme: light dark;
  --page: #f6f5f2; --card: #fff; --ink: #1d1c1a; --muted: #5f5b55; --grid: #dedad3; --line: #e6e2db;
  --own: #b4461a; --parent: #2f6f8f; --low: #a32626; --bar: #f0d9cb; }
@media (prefers-color-scheme: dark) { :root {
  --page: #171614; --card: #201f1c; --ink: #ece9e3; --muted: #a8a39a; --grid: #3b3833; --line: #34312c;
  --own: #f0905f; --parent: #79bfe0; --low: #ff9a8f; --bar: #53341f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
p { margin: .25rem 0 .75rem; max-width: 52rem; }
code { font-size: .9em; }
.table + .muted { margin-top: .6rem; }
.muted { color: var(--muted); font-size: .9rem; }
.note { border-left: 4px solid var(--low); padding: .4rem .9rem; background: var(--card); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.5rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { display: block; color: var(--muted); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .75rem; }
.chart { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.chart svg { display: block; width: 100%; max-width: 46rem; height: auto; margin: .4rem auto 0; }
figcaption { display: flex; flex-wrap: wrap; gap: .1rem 1rem; align-items: baseline; }
.legend { color: var(--muted); font-size: .85rem; white-space: nowrap; }
.key { display: inline-block; width: 1.3rem; height: 0; margin-right: .4rem; vertical-align: middle;
  border-top: 3px solid var(--own); }
.key.parent { border-top: 3px dashed var(--parent); }
.key.dots { width: .45rem; height: .45rem; border: 0; border-radius: 50%; background: var(--own); }
.key.mark { width: .6rem; height: .6rem; border: 0; border-radius: 50%; background: var(--own); }
.table + .table { margin-top: .75rem; }
.table { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; padding: .8rem 1rem .5rem; font-weight: 600; }
th, td { padding: .4rem 1rem; text-align: right; border-top: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
.words td { overflow-wrap: anywhere; }
td, tbody th { white-space: nowrap; }
.words td { white-space: normal; }
thead th { border-top: 0; color: var(--muted); font-weight: 500; vertical-align: bottom; }
tbody th { font-weight: 500; }
td.bar { background: linear-gradient(to right, var(--bar) var(--share), transparent var(--share)); }
.low { color: var(--low); font-weight: 600; }
.pair > .table { margin: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: .75rem;
  align-items: start; }
details { margin-top: .75rem; }
summary { cursor: pointer; padding: .3rem 0; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  font-size: .85rem; }
@media print { body { background: #fff; } .card, .chart, .table { break-inside: avoid; } main { padding: 0; } }
"""

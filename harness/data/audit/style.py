"""How the leakage report looks: by day, in the dark, on paper and on a narrow screen."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0;
  --band: #f6f8fa; --bar: #4a7fb5; --out: #8a7bb0; --pass: #1a7f37; --warn: #8a5a00; --fail: #c21f2b; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9aa4ae; --line: #30363d;
    --band: #161b22; --bar: #6aa3dd; --out: #a999d6; --pass: #4ac26b; --warn: #e0b040; --fail: #ff7b72; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --band: #fff; --bar: #4a7fb5; --out: #8a7bb0; --pass: #1a7f37; --warn: #8a5a00; --fail: #c21f2b; }
  * { print-color-adjust: exact; } tr, header, figure, .bars { break-inside: avoid; } h2, h3 { break-after: avoid; } }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p, ul { margin: .3rem 0; }
ul { padding-left: 1.2rem; }
header { border: 1px solid var(--line); border-left: .5rem solid var(--tone); background: var(--band);
  padding: 1rem 1.25rem; border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .6rem 0 0; }
dt, .soft { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
a { color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; overflow-wrap: break-word;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.said { min-width: 16rem; overflow-wrap: anywhere; }
.item { min-width: 8rem; overflow-wrap: anywhere; }
.name { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; width: 1%; padding: .35rem 0 .35rem .8rem; }
.narrow { white-space: nowrap; width: 1%; }
.state { white-space: nowrap; color: var(--tone); font-weight: 600; }
.pass { --tone: var(--pass); }
.warn { --tone: var(--warn); }
.fail { --tone: var(--fail); }
.unverifiable, .not-run { --tone: var(--soft); }
svg { display: block; min-width: 4rem; margin-top: .2rem; }
figure { margin: 1rem 0; break-inside: avoid; }
figure img { max-width: 100%; height: auto; border: 1px solid var(--line); background: #fff; }
.pictures { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: flex-start; }
.pictures figure { max-width: 100%; flex: 0 1 auto; }
.pictures figcaption { max-width: 46rem; }
figcaption { color: var(--soft); overflow-wrap: anywhere; }
td > svg:only-child { margin-top: .5rem; }
td .soft { font-size: .85em; }
.track { fill: var(--line); }
.bar { fill: var(--bar); }
.out { fill: var(--out); }
.leak { fill: var(--fail); }
.bars { max-width: 44rem; }
.bars td { border: 0; padding-top: .1rem; padding-bottom: .1rem; }
.bars td > svg:only-child { margin-top: .5rem; }
td .soft { font-size: .85em; }
section > h3 { margin-top: 2rem; }
.bars + .scroll { margin-top: 1rem; }
@media print {
  body { font-size: 10px; padding: 0; max-width: none; } .scroll { overflow: visible; }
  .said, .item { min-width: 0; } th, td { padding: .2rem .5rem .2rem 0; } .pictures figure { max-width: 48%; } }
@media screen and (max-width: 44rem) {
  body { padding: 1rem; }
  dl { display: block; } dt { margin-top: .3rem; }
  .pictures figure { overflow-x: auto; } .pictures img { max-width: none; max-height: 12rem; }
  .checks tr.heads { display: none; }
  .checks tr { display: grid; grid-template-columns: auto 1fr auto; gap: 0 .8rem; padding: .6rem 0;
    border-bottom: 1px solid var(--line); }
  .checks td { border: 0; padding: 0; width: auto; }
  .checks td.title { font-weight: 600; grid-column: 1 / -1; }
  .checks td.said { grid-column: 1 / -1; min-width: 0; }
  .checks td.number { grid-column: 1 / -1; text-align: left; color: var(--soft); padding: 0; }
  .checks td.number:empty { display: none; }
  .checks td.number::before { content: attr(data-name) " "; } }
"""

"""The look of our pages: one column on a phone, several on a desk, light or dark as the reader's system is."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5d6873; --line: #dde2e7; --paper: #f5f6f8; --card: #fff;
  --accent: #2563a8; --fill: #b9d3ee; --warn: #8a5a00; --warn-bg: #fff4dc; --bad: #a1262a; --bad-bg: #fdeceb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa6b2; --line: #333b44; --paper: #14181c;
  --card: #1d2329; --accent: #7fb4ea; --fill: #2d4f72; --warn: #f0c36a; --warn-bg: #33290f; --bad: #f2908f;
  --bad-bg: #3a1c1d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.45;
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
header, main { max-width: 84rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.6rem; }
main { padding-bottom: 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 .6rem; }
h3 { font-size: .8rem; font-weight: 600; color: var(--soft); margin: .9rem 0 .25rem; }
.lead { color: var(--soft); max-width: 50rem; }
.lead p { margin: .4rem 0; }
code { font-size: .9em; background: var(--line); border-radius: 4px; padding: .05em .3em; overflow-wrap: anywhere; }
.grid { display: grid; gap: 1rem; margin-top: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1rem; min-width: 0;
  overflow: hidden; overflow-wrap: anywhere; }
.card > :first-child { margin-top: 0; }
.card.failed { border-color: var(--bad); }
.film { display: grid; gap: 2px; }
.film.words { display: grid; gap: 4px; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); margin-top: .4rem; }
figure { margin: 0; }
figcaption { font-size: .8rem; color: var(--soft); }
.film img { width: 100%; object-fit: cover; display: block; }
.card > .film:first-child { margin: -.9rem -1rem .8rem; }
.name { font-weight: 600; font-size: .85rem; color: var(--soft); margin: 0; }
.caption { font-size: 1.15rem; font-weight: 600; margin: .15rem 0 .1rem; }
.score { color: var(--soft); font-size: .8rem; font-weight: 400; white-space: nowrap; }
ul.sentences { margin: 0; padding: 0; list-style: none; }
ul.sentences li { padding: .1rem 0; }
ul.bars { list-style: none; margin: 0; padding: 0; font-size: .85rem; }
ul.bars li { display: grid; grid-template-columns: minmax(0, 9rem) 1fr 2.4rem; gap: .5rem; align-items: center; }
.word { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar { height: .6rem; background: var(--line); border-radius: 3px; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--accent); }
.value { color: var(--soft); text-align: right; font-variant-numeric: tabular-nums; }
dl.facts { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .8rem 0 0; font-size: .8rem; color: var(--soft); }
dl.facts div { display: flex; gap: .35rem; }
dl.facts dd { margin: 0; color: var(--ink); }
header dl.facts { font-size: .95rem; }
ul.notes { list-style: none; margin: .7rem 0 0; padding: .45rem .7rem; border-radius: 6px; font-size: .85rem; }
ul.notes.warning { color: var(--warn); background: var(--warn-bg); }
ul.notes.error { color: var(--bad); background: var(--bad-bg); }
details { font-size: .9rem; margin-top: .2rem; }
summary { cursor: pointer; color: var(--accent); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 20rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
@media print { .card { break-inside: avoid; } body { background: #fff; } }
"""

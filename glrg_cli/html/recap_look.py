"""Style and script of the timeline page: without the script everything can be read; with it, searched."""

from __future__ import annotations

CSS = """
.summary { font-size: 1.35rem; line-height: 1.35; font-weight: 600; color: var(--ink); max-width: 60rem;
  margin: .3rem 0; }
.find { position: sticky; top: 0; z-index: 2; background: var(--paper); padding: .6rem 0 .5rem; margin-top: 1rem; }
.find .row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.find input { flex: 1 1 9rem; min-width: 0; font: inherit; padding: .5rem .8rem; border: 1px solid var(--line);
  border-radius: 8px; background: var(--card); color: var(--ink); }
.find input:focus-visible, .find button:focus-visible, .bar-time a:focus-visible { outline: 2px solid var(--accent); }
.find button { font: inherit; font-size: .9rem; padding: .5rem .8rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); color: var(--accent); cursor: pointer; }
.find .pick { position: relative; overflow: hidden; font-size: .9rem; padding: .5rem .8rem; border-radius: 8px;
  border: 1px solid var(--line); background: var(--card); color: var(--accent); cursor: pointer; }
.find .pick:focus-within { outline: 2px solid var(--accent); }
.find .pick input { position: absolute; inset: 0; opacity: 0; cursor: pointer; flex: none; }
#film { display: block; width: 100%; max-height: 30vh; background: #000; border-radius: 8px; margin-bottom: .5rem; }
ol.clips li.now { box-shadow: 0 0 0 3px var(--fill); border-radius: 5px; }
.playing ol.clips img { cursor: pointer; }
.playing details.segment, .playing ol.clips li { scroll-margin-top: calc(30vh + 9rem); }
.find output { color: var(--soft); font-size: .85rem; min-height: 1.3em; display: block; margin-top: .3rem; }
.bar-time { display: flex; gap: 1px; margin-top: .1rem; height: 1.9rem; border-radius: 6px; overflow: hidden; }
.bar-time a { background: var(--fill); min-width: 2px; overflow: hidden; font-size: .7rem; line-height: 1.9rem;
  color: var(--ink); text-decoration: none; text-align: center; white-space: nowrap; }
.bar-time a:hover, .bar-time a.here { background: var(--accent); color: var(--card); }
.bar-time a.miss { opacity: .25; }
.bar-time a.hit { box-shadow: inset 0 -5px 0 var(--accent); }
details.segment { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin-top: .7rem;
  scroll-margin-top: 8.5rem; overflow: hidden; font-size: 1rem; }
details.segment > summary { display: grid; grid-template-columns: 6.5rem 1fr; gap: .9rem; align-items: center;
  padding: .6rem .8rem; list-style: none; color: var(--ink); }
details.segment > summary::-webkit-details-marker { display: none; }
details.segment > summary.bare { grid-template-columns: 1fr; }
details.segment img { display: block; width: 100%; max-height: 9rem; object-fit: contain; border-radius: 5px;
  background: var(--line); }
details.segment > summary .told { font-weight: 600; font-size: 1.05rem; }
.when { color: var(--soft); font-size: .8rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.when::after { content: ""; }
.count { color: var(--soft); font-size: .8rem; }
.hand { color: var(--warn); background: var(--warn-bg); border-radius: 4px; padding: 0 .35em; font-size: .75rem;
  font-weight: 400; white-space: nowrap; }
ol.clips { list-style: none; margin: 0; padding: .2rem .8rem .9rem; display: grid; gap: .7rem .8rem;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
ol.clips li { min-width: 0; overflow-wrap: anywhere; font-size: .9rem; line-height: 1.3; scroll-margin-top: 8.5rem; }
ol.clips li:target { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 5px; }
ol.clips .when { display: block; margin-top: .2rem; }
mark { background: #ffe08a; color: #1c2126; border-radius: 2px; }
[hidden] { display: none !important; }
@media (max-width: 40rem) {
  .summary { font-size: 1.15rem; }
  details.segment > summary { grid-template-columns: 4.6rem 1fr; gap: .6rem; padding: .5rem .6rem; }
  ol.clips { grid-template-columns: 1fr; gap: .5rem; padding: .2rem .6rem .7rem; }
  ol.clips li.pictured { display: grid; grid-template-columns: 4.6rem 1fr; column-gap: .6rem; }
  ol.clips li.pictured img { grid-row: 1 / span 3; align-self: start; }
  ol.clips .when { margin-top: 0; }
  .bar-time a { font-size: 0; }
}
@media print { .find { position: static; } details.segment { break-inside: avoid; } }
"""

SCRIPT = """
(function () {
  'use strict';
  var box = document.getElementById('find'), out = document.getElementById('found');
  var all = document.getElementById('all');
  var segments = Array.prototype.slice.call(document.querySelectorAll('details.segment'));
  var before = null;
  function textOf(node) { return node.getAttribute('data-text'); }
  function show(node, words) {
    var text = textOf(node), place = 0, found;
    node.textContent = '';
    if (words.length) {
      var plain = words.map(function (w) { return w.replace(/[.*+?^${}()|[\\]\\\\]/g, '\\\\$&'); });
      var pattern = new RegExp(plain.join('|'), 'gi');
      while ((found = pattern.exec(text)) !== null) {
        node.appendChild(document.createTextNode(text.slice(place, found.index)));
        var mark = document.createElement('mark');
        mark.textContent = found[0];
        node.appendChild(mark);
        place = found.index + found[0].length;
      }
    }
    node.appendChild(document.createTextNode(text.slice(place)));
  }
  function matches(node, words) {
    var text = textOf(node).toLowerCase();
    return words.every(function (w) { return text.indexOf(w) >= 0; });
  }
  function search() {
    var words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
    if (words.length && before === null) { before = segments.map(function (s) { return s.open; }); }
    var clips = 0, chapters = 0;
    segments.forEach(function (segment, number) {
      var told = segment.querySelector('summary .told'), own = words.length > 0 && matches(told, words), hits = 0;
      show(told, words);
      var items = Array.prototype.slice.call(segment.querySelectorAll('li'));
      var found = items.map(function (item) {
        var text = item.querySelector('.told'), hit = words.length > 0 && matches(text, words);
        show(text, words);
        hits += hit ? 1 : 0;
        return hit;
      });
      items.forEach(function (item, i) { item.hidden = hits > 0 && !found[i]; });
      var any = own || hits > 0;
      segment.hidden = words.length > 0 && !any;
      if (words.length) { segment.open = hits > 0; }
      else if (before !== null) { segment.open = before[number]; }
      var block = document.querySelector('.bar-time a[href="#' + segment.id + '"]');
      block.classList.toggle('miss', words.length > 0 && !any);
      block.classList.toggle('hit', words.length > 0 && any);
      clips += hits;
      chapters += own ? 1 : 0;
    });
    document.querySelectorAll('.summary .told').forEach(function (node) { show(node, words); });
    if (!words.length) { before = null; }
    out.textContent = words.length ? clips + (clips === 1 ? ' clip' : ' clips') + ' and ' + chapters +
      (chapters === 1 ? ' chapter' : ' chapters') + ' found' : '';
  }
  function follow() {
    var target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
    if (!target) { return; }
    var segment = target.closest('details.segment');
    if (segment) { segment.open = true; }
    target.scrollIntoView();
    document.querySelectorAll('.bar-time a').forEach(function (a) {
      a.classList.toggle('here', segment !== null && a.getAttribute('href') === '#' + segment.id);
    });
  }
  var film = document.getElementById('film'), pick = document.getElementById('pick'), now = null;
  var clips = Array.prototype.slice.call(document.querySelectorAll('ol.clips li'));
  var starts = clips.map(function (c) { return parseFloat(c.getAttribute('data-start')); });
  pick.addEventListener('change', function () {
    if (!pick.files.length) { return; }
    if (film.src) { URL.revokeObjectURL(film.src); }
    film.src = URL.createObjectURL(pick.files[0]);
    film.hidden = false;
    document.body.classList.add('playing');
  });
  film.addEventListener('timeupdate', function () {
    var low = 0, high = starts.length;
    while (high - low > 1) {
      var middle = (low + high) >> 1;
      if (starts[middle] <= film.currentTime + 0.001) { low = middle; } else { high = middle; }
    }
    if (now) { now.classList.remove('now'); }
    now = clips[low];
    now.classList.add('now');
  });
  document.querySelector('main').addEventListener('click', function (event) {
    var item = event.target.closest('ol.clips li');
    if (!item || film.hidden || !event.target.closest('img, a.when')) { return; }
    event.preventDefault();
    film.currentTime = parseFloat(item.getAttribute('data-start'));
    film.play().catch(function () {});
  });
  box.addEventListener('input', search);
  all.addEventListener('click', function () {
    var open = segments.some(function (s) { return !s.open; });
    segments.forEach(function (s) { s.open = open; });
  });
  document.addEventListener('click', function (event) {
    var link = event.target.closest && event.target.closest('.bar-time a');
    if (link && link.getAttribute('href') === location.hash) { follow(); }
  });
  document.addEventListener('keydown', function (event) {
    if (event.key === '/' && document.activeElement !== box) { event.preventDefault(); box.focus(); }
  });
  window.addEventListener('hashchange', follow);
  document.querySelectorAll('.script').forEach(function (node) { node.hidden = false; });
  follow();
})();
"""

"""The style sheet and the script of the page, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["SCRIPT", "STYLE", "content_policy"]

STYLE = """
:root { color-scheme: light; --ink: #1b2430; --soft: #5a6675; --line: #d5dce4;
  --paper: #fff; --ground: #f4f6f8;  --good: #00694d; --doubt: #a34a00; --none: #5b3a8c; --link: #0b5cad; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 62rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 1rem 0 .4rem; }
p { margin: .3rem 0 .6rem; overflow-wrap: anywhere; }
.soft, footer { color: var(--soft); font-size: .9rem; }
a { color: var(--link); }
nav { margin: .8rem 0 1.2rem; font-size: .9rem; }
nav a { display: inline-block; margin-right: 1rem; padding: .2rem 0; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1.1rem 1.25rem; margin: 1rem 0; }
.verdict { display: flex; gap: 1rem; background: var(--paper); border: 1px solid var(--line);
  border-left: .5rem solid var(--tone); border-radius: .5rem; padding: 1rem 1.25rem; }
.verdict.good { --tone: var(--good); }
.verdict.doubt { --tone: var(--doubt); }
.verdict.none { --tone: var(--none); }
.verdict h2 { font-size: 1.35rem; color: var(--tone); margin-bottom: .25rem; }
.verdict p:last-child { margin-bottom: 0; }
.mark { flex: none; width: 2.6rem; height: 2.6rem; border-radius: 50%; background: var(--tone);
  color: #fff; font: bold 1.5rem/2.6rem system-ui, sans-serif; text-align: center; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr));
  gap: .75rem; margin: .75rem 0; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem 1rem; }
.tile .name { display: block; color: var(--soft); font-size: .85rem; }
.tile strong { font-size: 1.2rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.flags { list-style: none; margin: 0; padding: 0; }
.flags li + li { border-top: 1px solid var(--line); padding-top: .6rem; }
.badge { font-size: .8rem; border: 1px solid; border-radius: 1rem; padding: .05rem .6rem; margin-left: .6rem;
  white-space: nowrap; }
.badge.bad { color: var(--doubt); font-weight: bold; }
.badge.note { color: var(--soft); }
.scroll { overflow-x: auto; margin: .2rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0 .3rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
tbody th { font-weight: normal; color: var(--soft); width: 32%; min-width: 7rem;
  overflow-wrap: break-word; }
thead th { font-weight: 600; }
.wide th { width: auto; overflow-wrap: break-word; }
pre, code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .86rem; }
pre { background: var(--ground); border: 1px solid var(--line); border-radius: .35rem; padding: .6rem .8rem;
  overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0 .8rem; }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--link); padding: .2rem 0; }
figure { margin: 0; }
figcaption { font-size: .9rem; color: var(--soft); margin: .35rem 0 .6rem; }
figcaption strong { color: var(--ink); }
img { display: block; width: 100%; height: auto; border-radius: .25rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
.single { max-width: 34rem; }
.compare.live { display: grid; grid-template-columns: minmax(0, 40rem); gap: 0; position: relative; }
.compare.live figure { grid-area: 1 / 1; }
.compare.live figure + figure { position: relative; }
.compare.live figcaption { display: none; }
.compare.live .stage { grid-area: 1 / 1; position: relative; touch-action: pan-y; cursor: ew-resize;
  z-index: 2; }
.divider { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 0 1px rgba(0, 0, 0, .45); pointer-events: none; }
.side { position: absolute; top: .5rem; background: rgba(0, 0, 0, .65); color: #fff; font-size: .85rem;
  padding: .1rem .6rem; border-radius: 1rem; pointer-events: none; }
.side.first { left: .5rem; }
.side.second { right: .5rem; }
.controls { grid-row: 2; display: flex; flex-wrap: wrap; align-items: center; gap: .6rem; margin: .5rem 0; }
.controls input { flex: 1 1 10rem; min-width: 0; accent-color: var(--link); height: 2rem; }
.controls button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--soft);
  border-radius: .35rem; padding: .35rem .9rem; cursor: pointer; }
.controls button[aria-pressed=true] { background: var(--ink); color: #fff; }
.controls label { font-size: .9rem; color: var(--soft); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
footer { padding-bottom: 2rem; }
@media (max-width: 30rem) {
  body { font-size: 15px; }
  header { padding-top: 1.2rem; }
  section, .verdict { padding: .9rem; border-radius: .35rem; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .5rem; }
  .tile { padding: .55rem .7rem; }
  .tile strong { font-size: 1.02rem; }
  .mark { width: 2rem; height: 2rem; font-size: 1.2rem; line-height: 2rem; }
  th, td { padding-right: .6rem; }
  .wide, .wide caption, .wide tbody, .wide tr, .wide tbody th { display: block; }
  .wide thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .wide tr { border-bottom: 1px solid var(--line); padding: .35rem 0; }
  .wide th, .wide td { border: 0; padding: .05rem 0; }
  .wide tbody th { color: var(--ink); font-weight: 600; }
  .wide td { display: flex; gap: .6rem; }
  .wide td::before { content: attr(data-label); color: var(--soft); flex: 0 0 5rem; }
}
@media print {
  @page { margin: 15mm; }
  body { background: #fff; font-size: 10.5pt; }
  main, header, footer { max-width: none; padding: 0; }
  nav, .controls, .divider, .side { display: none !important; }
  section { border: 0; padding: 0; margin: 1.2rem 0; }
  .verdict, .tile, figure, tr, pre, li { break-inside: avoid; }
  h2, h3, caption, section > p { break-after: avoid; }
  .scroll { overflow: visible; }
  .tiles { grid-template-columns: 1fr 1fr; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .compare, .compare.live { display: grid !important; grid-template-columns: 1fr 1fr; gap: 1rem; }
  .compare.live figure { grid-area: auto; clip-path: none !important; visibility: visible !important; }
  .compare.live figcaption { display: block; }
  .compare.live .stage { display: none; }
  .pair { grid-template-columns: 1fr 1fr; }
  .verdict, .mark { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""

# The two pictures are laid upon each other; the right one is cut at the divider, or blinks.
SCRIPT = """
"use strict";
for (const box of document.querySelectorAll(".compare")) {
  const after = box.querySelectorAll("figure")[1];
  const make = (name, kind, parent, text) => {
    const element = document.createElement(name);
    if (kind) element.className = kind;
    if (text) element.textContent = text;
    parent.append(element);
    return element;
  };
  box.classList.add("live");
  const stage = make("div", "stage", box);
  const divider = make("div", "divider", stage);
  const first = make("span", "side first", stage, box.dataset.first);
  const second = make("span", "side second", stage, box.dataset.second);
  const controls = make("div", "controls", box);
  const range = make("input", "", controls);
  range.type = "range"; range.min = 0; range.max = 100; range.step = "any"; range.value = 50;
  range.setAttribute("aria-label", box.dataset.first + " on the left of this point, " + box.dataset.second +
    " on the right");
  const button = make("button", "", controls, "Blink");
  button.type = "button"; button.setAttribute("aria-pressed", "false");
  let timer = null;
  const show = () => {
    const place = range.value + "%";
    after.style.clipPath = "inset(0 0 0 " + place + ")";
    after.style.visibility = "visible";
    divider.style.left = place;
    divider.style.display = timer ? "none" : "block";
    first.style.visibility = range.value > 12 ? "visible" : "hidden";
    second.style.visibility = range.value < 88 ? "visible" : "hidden";
  };
  const stop = () => {
    clearInterval(timer); timer = null; button.setAttribute("aria-pressed", "false"); show();
  };
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    let on = true;
    timer = setInterval(() => {
      on = !on;
      after.style.clipPath = "none";
      after.style.visibility = on ? "visible" : "hidden";
      first.style.visibility = on ? "hidden" : "visible";
      second.style.visibility = on ? "visible" : "hidden";
    }, 700);
    divider.style.display = "none";
    button.setAttribute("aria-pressed", "true");
  });
  range.addEventListener("input", () => { if (timer) stop(); else show(); });
  const drag = event => {
    if (event.buttons !== 1) return;
    const frame = stage.getBoundingClientRect();
    range.value = 100 * (event.clientX - frame.left) / frame.width;
    if (timer) stop(); else show();
  };
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  show();
}
"""


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def content_policy() -> str:
    """Return the Content-Security-Policy: this style, this script, pictures in the page, and nothing else.

    Returns
    -------
    str
        The policy; a script that slipped into the page would not have the hash.
    """
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_hash(STYLE)}'; "
        f"script-src 'sha256-{_hash(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )

// What plays next: it can be reordered with the pointer or the arrow keys, and moves when an action changes it.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Cover } from "../parts/cover.js";
import { Drawer } from "../parts/drawer.js";
import { Icon } from "../parts/icons.js";
import { Artists } from "../parts/rows.js";
import { useSession } from "./session.js";

const MOVE_MS = 320;

// Animates children of the list from where they were to where they are; new ones fade in. `data-key` names a child.
function useMovement(list, keys) {
  const before = useRef(new Map());
  useLayoutEffect(() => {
    const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const after = new Map();
    for (const child of list.current?.children || []) {
      const { top } = child.getBoundingClientRect();
      const key = child.dataset.key;
      after.set(key, top);
      if (isStill || !before.current.size) continue;
      const from = before.current.get(key);
      if (from === undefined) child.animate([{ opacity: 0, transform: "translateX(1.5rem)" }, { opacity: 1, transform: "none" }], { duration: MOVE_MS, easing: "ease-out" });
      else if (from !== top) child.animate([{ transform: `translateY(${from - top}px)` }, { transform: "none" }], { duration: MOVE_MS, easing: "ease-out" });
    }
    before.current = after;
  }, [keys]);
}

export function UpNext() {
  const { queue, texts, playAt, move, remove, note } = useSession();
  const { upcoming } = queue;
  const list = useRef(null);
  const [dragged, setDragged] = useState(null);
  useMovement(list, upcoming.map((entry) => entry.key).join());
  const onKey = (place) => (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    move(place, place + step);
    requestAnimationFrame(() => list.current?.children[place + step]?.querySelector(".grip")?.focus());
  };
  const onDrop = (place) => (event) => {
    event.preventDefault();
    if (dragged !== null) move(dragged, place);
    setDragged(null);
  };
  return html`
    <p class="changed hint" role="status">${note}</p>
    ${!upcoming.length && html`<p class="hint">${texts.emptyQueue}</p>`}
    <ol class="queue" ref=${list}>
      ${upcoming.map((entry, place) => html`<li key=${entry.key} data-key=${entry.key} class=${dragged === place ? "is-dragged" : ""} draggable="true"
        onDragStart=${() => setDragged(place)} onDragEnd=${() => setDragged(null)} onDragOver=${(event) => event.preventDefault()} onDrop=${onDrop(place)}>
        <button type="button" class="plain grip" aria-label=${`${texts.move}: ${entry.track.title}`} title=${texts.moveHint} onKeyDown=${onKey(place)}><${Icon} name="grip" /></button>
        <button type="button" class="start" aria-label=${`${texts.play} ${entry.track.title}`} onClick=${() => playAt(place)}><${Cover} track=${entry.track} /><span class="over"><${Icon} name="play" /></span></button>
        <div class="what"><p class="title">${entry.track.title || entry.track.track_id}</p><p class="sub"><${Artists} track=${entry.track} /></p></div>
        <button type="button" class="plain" aria-label=${`${texts.remove}: ${entry.track.title}`} onClick=${() => remove(place)}><${Icon} name="close" /></button>
      </li>`)}
    </ol>`;
}

export function QueueDrawer({ onClose }) {
  const { queue, texts } = useSession();
  const track = queue.current?.track;
  return html`<${Drawer} title=${texts.queue} closeLabel=${texts.close} onClose=${onClose} class="queue-drawer">
    ${track && html`<h3>${texts.nowPlaying}</h3>
      <div class="why-track"><${Cover} track=${track} /><div><p class="title">${track.title}</p><p class="sub"><${Artists} track=${track} /></p></div></div>`}
    <h3>${texts.upNext}</h3><${UpNext} />
  </${Drawer}>`;
}

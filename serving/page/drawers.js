// Drawers: what plays next, why a track is recommended, and the state of the listener for developers. Loaded when first opened.
import * as api from "./base.js";
import { address, dayName, facetName, format, interestName, sentence, timeOfDay } from "./base.js";
import { Cover, Drawer, Icon } from "./parts.js";
import { Artists } from "./player_view.js";
import { useSession } from "./player.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.mjs";

// ---- Queue: it can be reordered with the pointer or the arrow keys, and moves when an action changes it.

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

// ---- Why a track is recommended: the reason, what found it and how it scored, its way through the music graph, its tags.

// A list of the day keeps its reasons, so the same reason may have newer numbers by now.
const withoutNumbers = (text) => (text || "").replace(/\d+/g, "");
const percent = (value) => `${Math.round(value * 100)}%`;

function Bars({ title, hint, rows }) {
  if (!rows.length) return null;
  return html`<h3>${title}</h3>${hint && html`<p class="hint">${hint}</p>`}
    <dl class="bars">${rows.map(({ name, value, text }) => html`<div key=${name}>
      <dt>${name}</dt><dd><span class="bar" style=${`--part:${value}`}></span><span class="bar-text">${text}</span></dd></div>`)}</dl>`;
}

// Nodes of the music graph from the listener to the track, with what connects them.
function GraphPath({ steps, texts }) {
  if (!steps.length) return null;
  return html`<h3>${texts.graphPath}</h3><ol class="graph">
    <li class="node is-you">${texts.you}</li>
    ${steps.map((step, place) => html`<li key=${place}><span class="edge">${step.relation}</span><span class="node">${step.node}</span></li>`)}
  </ol>`;
}

export function Why({ track, shown, isDeveloper, onClose }) {
  const { userId, language, texts, lessLike, onError } = useSession();
  const [found, setFound] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    setFound(null);
    api.explain(userId, track.track_id, shown?.scene, language).then(
      (answer) => isCurrent && setFound(answer),
      (error) => (error.status === 404 ? isCurrent && setFound({}) : onError(error)),
    );
    return () => (isCurrent = false);
  }, [track.track_id, language]);
  const reason = track.reason || found?.channels?.[0]?.reason;
  const others = [...new Set((found?.channels || []).map((one) => one.reason))].filter(
    (one) => one && withoutNumbers(one) !== withoutNumbers(reason),
  );
  const channels = found?.channels || (track.channels || []).map((name) => ({ name }));
  const tasks = Object.entries(found?.tasks || {}).filter(([name]) => name in texts.tasks);
  const less = () => {
    lessLike(track, shown);
    onClose();
  };
  return html`<${Drawer} title=${texts.why} closeLabel=${texts.close} onClose=${onClose} class="why">
    <div class="why-track"><${Cover} track=${track} /><div><p class="title">${track.title || track.track_id}</p><p class="sub"><${Artists} track=${track} /></p></div></div>
    ${reason && html`<p class="reason">${sentence(reason)}</p>`}
    <div class="buttons"><a class="pill" href=${address("track", track.track_id)} onClick=${onClose}><${Icon} name="similar" />${texts.moreLikeThis}</a>
      <button type="button" class="pill" onClick=${less}><${Icon} name="less" />${texts.lessLikeThis}</button></div>
    ${others.length > 0 && html`<h3>${texts.otherReasons}</h3><ul class="reasons">${others.map((one) => html`<li key=${one}>${sentence(one)}</li>`)}</ul>`}
    <details open=${isDeveloper}><summary>${texts.details}</summary>
      <${Bars} title=${texts.prediction} rows=${tasks.map(([name, value]) => ({ name: texts.tasks[name], value, text: percent(value) }))} />
      <${Bars} title=${texts.foundBy} hint=${texts.foundByHint} rows=${channels.map(({ name, rank }) => ({
        name: texts.channels[name] || name, value: rank ? 1 / rank ** 0.3 : 1, text: rank ? format(texts.rank, { rank }) : "",
      }))} />
      ${found?.graph && html`<${GraphPath} steps=${found.graph} texts=${texts} />`}
      ${track.facets?.length > 0 && html`<h3>${texts.tags}</h3><ul class="chips">${track.facets.map((facet) => html`<li key=${facet}>${facetName(facet, texts)}</li>`)}</ul>`}
    </details>
  </${Drawer}>`;
}

// ---- For developers: recent events, interests, and long- and short-term state of the listener as the models see them.

function Sequence({ events, language, texts }) {
  return html`
    <h3>${texts.sequence}</h3>
    <p class="hint">${texts.sequenceHint}</p>
    <ol class="sequence">
      ${events.map((event, place) => {
        const begins = place > 0 && events[place - 1].session !== event.session;
        const time = event.ended_at / 1000;
        const label = `${event.title || event.track_id}: ${texts.behaviors[event.behavior] || event.behavior}, ${dayName(time, language)} ${timeOfDay(time, language)}`;
        return html`<li class=${`${event.behavior} ${begins ? "begins" : ""}`} title=${label} key=${place}><span class="visually-hidden">${label}</span></li>`;
      })}
    </ol>
    <ul class="legend" aria-hidden="true">
      ${legend(events, texts).map((name) => html`<li key=${name}><i class=${name}></i>${texts.behaviors[name] || name}</li>`)}
    </ul>`;
}

// Behaviors that occur, in the order of the catalog.
const legend = (events, texts) => {
  const there = new Set(events.map((event) => event.behavior));
  return [...new Set([...Object.keys(texts.behaviors), ...there])].filter((name) => there.has(name));
};

function Summary({ title, interest, texts }) {
  return html`<div class="term"><h3>${title}</h3><p class="title">${interestName(interest.name, texts)}</p><p class="hint">${interest.artists.join(", ")}</p></div>`;
}

export function Developer({ onClose }) {
  const { userId, version, language, texts, queue, onError } = useSession();
  const [state, setState] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    api.listener(userId).then((answer) => isCurrent && setState(answer), onError);
    return () => (isCurrent = false);
  }, [userId, version]);
  const shown = queue.current?.shown;
  return html`<${Drawer} title=${texts.developer} closeLabel=${texts.close} onClose=${onClose} class="developer">
    ${state && html`<dl class="facts">
      <div><dt>user_id</dt><dd>${userId}</dd></div>
      <div><dt>release</dt><dd>${state.release}</dd></div>
      ${shown?.request_id && html`<div><dt>request_id</dt><dd>${shown.request_id}</dd></div>`}
    </dl>
    ${!state.events.length && !state.long_term && html`<p class="hint">${texts.nothingYet}</p>`}
    ${state.events.length > 0 && html`<${Sequence} events=${state.events.slice(-50)} language=${language} texts=${texts} />`}
    ${state.interests.length > 0 && html`<h3>${texts.interests}</h3>
      <ul class="chips">${state.interests.map((one, place) => html`<li key=${place} title=${one.titles.join(" · ")}>
        ${interestName(one.name, texts)} <span class="share">${Math.round(one.share * 100)}%</span></li>`)}</ul>`}
    ${state.short_term && html`<${Summary} title=${texts.shortTerm} interest=${state.short_term} texts=${texts} />`}
    ${state.long_term && html`<${Summary} title=${texts.longTerm} interest=${state.long_term} texts=${texts} />`}`}
    <p><a href="./docs">${texts.api}</a></p>
  </${Drawer}>`;
}

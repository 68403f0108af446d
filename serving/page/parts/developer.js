// For developers: recent events, interests, and long- and short-term state of the listener as the models see them.
import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { html } from "../html.js";
import { dayName, interestName, timeOfDay } from "../messages.js";
import { useSession } from "../playback/session.js";
import { Drawer } from "./drawer.js";

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

// What was played, by day and time.
import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { html } from "../html.js";
import { dayName, timeOfDay } from "../messages.js";
import { LoadingRows } from "../parts/loading.js";
import { Rows } from "../parts/rows.js";
import { useSession } from "../playback/session.js";

const PLAYS = new Set(["full_play", "play", "skip"]);

// [day, events of the day], the newest first; `ended_at` is in µs.
function byDay(events, language) {
  const days = new Map();
  for (const event of events.filter((one) => PLAYS.has(one.behavior)).reverse()) {
    const day = dayName(event.ended_at / 1000, language);
    days.set(day, [...(days.get(day) || []), event]);
  }
  return [...days];
}

export function History({ onWhy }) {
  const { userId, language, texts, version, onError } = useSession();
  const [state, setState] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    api.listener(userId).then((found) => isCurrent && setState(found), onError);
    return () => (isCurrent = false);
  }, [userId, version]);
  const days = state ? byDay(api.known(state.events), language) : [];
  const noteOf = (event) => `${timeOfDay(event.ended_at / 1000, language)} · ${texts.behaviors[event.behavior]}`;
  return html`<div><h1>${texts.history}</h1>
    ${!state && html`<${LoadingRows} />`}
    ${state && !days.length && html`<p class="empty">${texts.nothingYet}</p>`}
    ${days.map(([day, events]) => html`<section key=${day}><h2>${day}</h2><${Rows} tracks=${events} noteOf=${noteOf} onWhy=${onWhy} /></section>`)}
  </div>`;
}

// Liked and saved tracks, what was played, and what is hidden, with buttons that take it back.
import * as api from "../base.js";
import { address, dayName, formatCount, timeOfDay, useAnswer } from "../base.js";
import { Cover, Icon, LoadingRows } from "../parts.js";
import { Rows } from "../player_view.js";
import { useSession } from "../player.js";
import { html } from "../vendor/preact.mjs";
import { Continuation } from "./lists.js";

function Hidden() {
  const { library, texts, reverse } = useSession();
  const rows = [
    ...[...library.blocked.values()].map((entry) => ({ entry, action: "block", label: texts.unblock, note: texts.behaviors.block })),
    ...[...library.disliked.values()].map((entry) => ({ entry, action: "dislike", label: texts.undislike, note: texts.behaviors.dislike })),
  ];
  if (!rows.length) return html`<p class="empty">${texts.nothingHidden}</p>`;
  return html`<ul class="hidden-list">
    ${rows.map(({ entry, action, label, note }) => html`<li key=${`${entry.target_type}:${entry.target_id}`}>
      ${entry.track ? html`<${Cover} track=${entry.track} />` : html`<span class="avatar"><${Icon} name="user" /></span>`}
      <div class="what"><p class="title">${entry.track?.title || entry.name || entry.target_id}</p><p class="sub">${entry.track ? `${entry.track.artists.join(", ")} · ${note}` : note}</p></div>
      <button type="button" class="pill" aria-label=${`${label}: ${entry.track?.title || entry.name || entry.target_id}`} onClick=${() => reverse(action, entry)}>${label}</button>
    </li>`)}
  </ul>`;
}

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

function History({ onWhy }) {
  const { userId, language, texts, version, onError } = useSession();
  const state = useAnswer(() => api.listener(userId), [userId, version], onError);
  const days = state ? byDay(api.known(state.events), language) : [];
  const noteOf = (event) => `${timeOfDay(event.ended_at / 1000, language)} · ${texts.behaviors[event.behavior]}`;
  return html`<div>
    ${!state && html`<${LoadingRows} />`}
    ${state && !days.length && html`<p class="empty">${texts.nothingYet}</p>`}
    ${days.map(([day, events]) => html`<section key=${day}><h2>${day}</h2><${Rows} tracks=${events} noteOf=${noteOf} onWhy=${onWhy} /></section>`)}
  </div>`;
}

const MORE_SHOWN = 10;

export function Library({ tab = "liked", onWhy }) {
  const { library, texts, isVisible } = useSession();
  const tracksOf = (name) => [...library[name].values()].map((entry) => entry.track).filter((track) => track && isVisible(track));
  const tabs = [
    ["liked", texts.likedSongs, tracksOf("liked").length],
    ["collected", texts.savedSongs, tracksOf("collected").length],
    ["history", texts.history],
    ["hidden", texts.hidden, library.blocked.size + library.disliked.size],
  ];
  return html`<div><h1>${texts.library}</h1>
    <nav class="segments" aria-label=${texts.library}>
      ${tabs.map(([name, title, count]) => html`<a key=${name} href=${address("library", name)} aria-current=${tab === name ? "page" : undefined}>${title} ${count !== undefined && html`<span class="count">${count}</span>`}</a>`)}
    </nav>
    ${tab === "hidden" ? html`<${Hidden} />` : tab === "history" ? html`<${History} onWhy=${onWhy} />` : html`<${Songs} key=${tab} tab=${tab} tracks=${tracksOf(tab)} onWhy=${onWhy} />`}
  </div>`;
}

function Songs({ tab, tracks, onWhy }) {
  const { texts } = useSession();
  if (!tracks.length) return html`<p class="empty">${tab === "liked" ? texts.nothingLiked : texts.nothingSaved}</p>`;
  return html`<p class="hint">${formatCount(texts, "songCount", tracks.length)}</p><${Rows} tracks=${tracks} onWhy=${onWhy} />
    <${Continuation} title=${texts.moreLikeThese} seeds=${tracks.map((track) => track.track_id)} limit=${MORE_SHOWN} onWhy=${onWhy} />`;
}

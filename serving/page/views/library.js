// Liked and saved tracks, and what is hidden, with buttons that take it back.
import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { html } from "../html.js";
import { formatCount } from "../messages.js";
import { Cover } from "../parts/cover.js";
import { Icon } from "../parts/icons.js";
import { Rows } from "../parts/rows.js";
import { useSession } from "../playback/session.js";

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

const MORE_SHOWN = 10;
const MAX_SEEDS = 100;

// Songs that continue a list of songs, as the service continues a playlist.
function MoreLikeThese({ tracks, onWhy }) {
  const { userId, language, texts, onError } = useSession();
  const [more, setMore] = useState(null);
  const seeds = tracks.slice(0, MAX_SEEDS).map((track) => track.track_id);
  useEffect(() => {
    let isCurrent = true;
    api.continuation(seeds, "", userId, language, MORE_SHOWN).then((found) => isCurrent && setMore(found), onError);
    return () => (isCurrent = false);
  }, [seeds.join(), language]);
  if (!more?.items.length) return null;
  const shownOf = (position) => ({ request_id: more.request_id, position, scene: "continuation" });
  return html`<h2>${texts.moreLikeThese}</h2><${Rows} tracks=${more.items} shownOf=${shownOf} onWhy=${onWhy} />`;
}

export function Library({ onWhy }) {
  const { library, texts } = useSession();
  const [tab, setTab] = useState("liked");
  const tracksOf = (name) => [...library[name].values()].map((entry) => entry.track).filter(Boolean);
  const hidden = library.blocked.size + library.disliked.size;
  const tabs = [
    ["liked", texts.likedSongs, tracksOf("liked").length],
    ["collected", texts.savedSongs, tracksOf("collected").length],
    ["hidden", texts.hidden, hidden],
  ];
  const tracks = tab === "hidden" ? [] : tracksOf(tab);
  return html`<div><h1>${texts.library}</h1>
    <div class="segments" role="group" aria-label=${texts.library}>
      ${tabs.map(([name, title, count]) => html`<button type="button" key=${name} aria-pressed=${tab === name} onClick=${() => setTab(name)}>${title} <span class="count">${count}</span></button>`)}
    </div>
    ${tab === "hidden" ? html`<${Hidden} />`
      : tracks.length ? html`<p class="hint">${formatCount(texts, "songCount", tracks.length)}</p><${Rows} tracks=${tracks} onWhy=${onWhy} /><${MoreLikeThese} key=${tab} tracks=${tracks} onWhy=${onWhy} />`
      : html`<p class="empty">${tab === "liked" ? texts.nothingLiked : texts.nothingSaved}</p>`}
  </div>`;
}

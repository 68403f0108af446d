// Playlists and short videos with their reasons and first songs; an open one plays its songs in order.
import { html } from "./html.js";
import { closeMenuAndCall } from "./songs.js";

export const idOf = (collection) => collection.playlist_id || collection.mlog_id;

function Collection({ collection, place, isNew, playing, texts, onOpen, onPlay, onAct }) {
  const title = collection.title || idOf(collection);
  const isOpen = playing !== null && playing.collection === idOf(collection);
  return html`<li class=${`song ${isOpen ? "is-playing" : ""}`}>
    <button type="button" class="start" aria-label=${`${texts.play} ${title}`} onClick=${() => onOpen(collection, place)}>▶</button>
    <div class="what">
      <p><strong>${title}</strong>${isNew && html` <span class="badge">${texts.newSong}</span>`}</p>
      <p class="hint">${collection.reason}</p>
      <ol class="tracks">
        ${collection.tracks.map(
          (track, number) => html`<li key=${number} aria-current=${isOpen && playing.number === number ? "true" : undefined}>
            <button type="button" onClick=${() => onPlay(collection, place, number)}>
              ${track.title || track.track_id} <span class="artists">${track.artists.join(", ")}</span>
            </button>
          </li>`,
        )}
      </ol>
    </div>
    <div class="buttons">
      <button type="button" aria-label=${`${texts.collect}: ${title}`} onClick=${() => onAct(collection, place, "collect")}>${texts.collect}</button>
      <details>
        <summary aria-label=${`${texts.more}: ${title}`}>⋯</summary>
        <div class="menu">
          <button type="button" onClick=${closeMenuAndCall(() => onAct(collection, place, "dislike"))}>${texts.dislike}</button>
        </div>
      </details>
    </div>
  </li>`;
}

export function Collections({ items, before, playing, texts, onOpen, onPlay, onAct }) {
  if (!items.length) return html`<p class="hint">${texts.noneHere}</p>`;
  return html`<ol class="songs">
    ${items.map(
      (collection, place) => html`<${Collection} key=${idOf(collection)} collection=${collection} place=${place} texts=${texts} playing=${playing}
        isNew=${before !== null && !before.has(idOf(collection))} onOpen=${onOpen} onPlay=${onPlay} onAct=${onAct} />`,
    )}
  </ol>`;
}

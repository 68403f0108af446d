// Playlists and short videos, each with why it is here and its first songs; one that is open plays them one after another.
import { html } from "./html.js";
import { chosen } from "./songs.js";

export const OF_SCENE = { playlists: "playlist", mlog: "mlog" };
export const idOf = (container) => container.playlist_id || container.mlog_id;

function Container({ container, place, isNew, playing, words, onOpen, onPlay, onAct }) {
  const title = container.title || idOf(container);
  const isOpen = playing !== null && playing.container === idOf(container);
  return html`<li class=${`song ${isOpen ? "is-playing" : ""}`}>
    <button type="button" class="start" aria-label=${`${words.play} ${title}`} onClick=${() => onOpen(container, place)}>▶</button>
    <div class="what">
      <p><strong>${title}</strong>${isNew && html` <span class="badge">${words.newSong}</span>`}</p>
      <p class="hint">${container.reason}</p>
      <ol class="tracks">
        ${container.tracks.map(
          (track, number) => html`<li key=${number} aria-current=${isOpen && playing.number === number ? "true" : undefined}>
            <button type="button" onClick=${() => onPlay(container, place, number)}>
              ${track.title || track.track_id} <span class="artists">${track.artists.join(", ")}</span>
            </button>
          </li>`,
        )}
      </ol>
    </div>
    <div class="buttons">
      <button type="button" aria-label=${`${words.collect}: ${title}`} onClick=${() => onAct(container, place, "collect")}>${words.collect}</button>
      <details>
        <summary aria-label=${`${words.more}: ${title}`}>⋯</summary>
        <div class="menu">
          <button type="button" onClick=${chosen(() => onAct(container, place, "dislike"))}>${words.dislike}</button>
        </div>
      </details>
    </div>
  </li>`;
}

export function Containers({ items, before, playing, words, onOpen, onPlay, onAct }) {
  if (!items.length) return html`<p class="hint">${words.noneHere}</p>`;
  return html`<ol class="songs">
    ${items.map(
      (container, place) => html`<${Container} key=${idOf(container)} container=${container} place=${place} words=${words} playing=${playing}
        isNew=${before !== null && !before.has(idOf(container))} onOpen=${onOpen} onPlay=${onPlay} onAct=${onAct} />`,
    )}
  </ol>`;
}

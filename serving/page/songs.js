// A list of songs, each with why it is here and what can be done with it.
import { html } from "./html.js";

// A menu closes when something of it was chosen.
export const chosen = (act) => (event) => {
  event.target.closest("details").open = false;
  act();
};

function Song({ track, place, isNew, isPlaying, words, onPlay, onAct }) {
  const title = track.title || track.track_id;
  return html`<li class=${`song ${isPlaying ? "is-playing" : ""}`}>
    <button type="button" class="start" aria-label=${`${words.play} ${title}`} onClick=${() => onPlay(track, place)}>▶</button>
    <div class="what">
      <p><strong>${title}</strong> <span class="artists">${track.artists.join(", ")}</span>
        ${isNew && html` <span class="badge">${words.newSong}</span>`}</p>
      <p class="hint">${track.reason}${track.channels.length > 0 && ` · ${words.foundBy} ${track.channels.join(", ")}`}</p>
    </div>
    <div class="buttons">
      <button type="button" aria-label=${`${words.like}: ${title}`} onClick=${() => onAct(track, place, "like")}>${words.like}</button>
      <details>
        <summary aria-label=${`${words.more}: ${title}`}>⋯</summary>
        <div class="menu">
          <button type="button" onClick=${chosen(() => onAct(track, place, "collect"))}>${words.collect}</button>
          <button type="button" onClick=${chosen(() => onAct(track, place, "dislike"))}>${words.dislike}</button>
          ${track.artist_ids.map(
            (artist, one) => html`<button type="button" key=${artist} onClick=${chosen(() => onAct(track, place, "block", artist))}>
              ${words.block(track.artists[one] || artist)}
            </button>`,
          )}
        </div>
      </details>
    </div>
  </li>`;
}

export function Songs({ items, before, playing, words, onPlay, onAct }) {
  if (!items.length) return html`<p class="hint">${words.noRelease}</p>`;
  return html`<ol class="songs">
    ${items.map(
      (track, place) => html`<${Song} key=${track.track_id} track=${track} place=${place} words=${words}
        isNew=${before !== null && !before.has(track.track_id)} isPlaying=${playing === track.track_id}
        onPlay=${onPlay} onAct=${onAct} />`,
    )}
  </ol>`;
}

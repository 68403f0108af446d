// A list of songs with their reasons and feedback buttons.
import { html } from "./html.js";
import { format } from "./messages.js";

// Handler of a menu item: closes the menu, then acts.
export const closeMenuAndCall = (act) => (event) => {
  event.target.closest("details").open = false;
  act();
};

function Song({ track, place, isNew, isPlaying, texts, onPlay, onAct }) {
  const title = track.title || track.track_id;
  return html`<li class=${`song ${isPlaying ? "is-playing" : ""}`}>
    <button type="button" class="start" aria-label=${`${texts.play} ${title}`} onClick=${() => onPlay(track, place)}>▶</button>
    <div class="what">
      <p><strong>${title}</strong> <span class="artists">${track.artists.join(", ")}</span>
        ${isNew && html` <span class="badge">${texts.newSong}</span>`}</p>
      <p class="hint">${track.reason}${track.channels.length > 0 && ` · ${texts.foundBy} ${track.channels.map((name) => texts.channels[name] || name).join(", ")}`}</p>
    </div>
    <div class="buttons">
      <button type="button" aria-label=${`${texts.like}: ${title}`} onClick=${() => onAct(track, place, "like")}>${texts.like}</button>
      <details>
        <summary aria-label=${`${texts.more}: ${title}`}>⋯</summary>
        <div class="menu">
          <button type="button" onClick=${closeMenuAndCall(() => onAct(track, place, "collect"))}>${texts.collect}</button>
          <button type="button" onClick=${closeMenuAndCall(() => onAct(track, place, "dislike"))}>${texts.dislike}</button>
          ${track.artist_ids.map(
            (artist, index) => html`<button type="button" key=${artist} onClick=${closeMenuAndCall(() => onAct(track, place, "block", artist))}>
              ${format(texts.block, { artist: track.artists[index] || artist })}
            </button>`,
          )}
        </div>
      </details>
    </div>
  </li>`;
}

export function Songs({ items, before, playing, texts, onPlay, onAct }) {
  if (!items.length) return html`<p class="hint">${texts.noRelease}</p>`;
  return html`<ol class="songs">
    ${items.map(
      (track, place) => html`<${Song} key=${track.track_id} track=${track} place=${place} texts=${texts}
        isNew=${before !== null && !before.has(track.track_id)} isPlaying=${playing === track.track_id}
        onPlay=${onPlay} onAct=${onAct} />`,
    )}
  </ol>`;
}

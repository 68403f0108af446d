// Search for songs by names or by what they are like, with the reason of each match.
import { useEffect, useState } from "preact/hooks";
import * as api from "./api.js";
import { html } from "./html.js";

export const MAX_QUERY_LENGTH = 200;
const TYPING_MS = 200;

// The songs that match the text; `isEmptyAllowed`: the most played ones without a text.
export function useSearch(text, { language, userId = null, isEmptyAllowed = false, onError }) {
  const [found, setFound] = useState([]);
  useEffect(() => {
    let isCurrent = true;
    const show = (items) => isCurrent && setFound(items);
    if (!text.trim() && !isEmptyAllowed) show([]);
    const later =
      text.trim() || isEmptyAllowed
        ? setTimeout(() => api.search(text, language, userId).then(show, onError), text ? TYPING_MS : 0)
        : 0;
    return () => {
      isCurrent = false;
      clearTimeout(later);
    };
  }, [text, language, userId]);
  return found;
}

export function FoundSong({ track, isReasonShown, ...button }) {
  return html`<li>
    <button type="button" ...${button}>
      ${track.title} <span class="artists">${track.artists.join(", ")}</span>
      ${isReasonShown && html`<span class="why">${track.reason}</span>`}
    </button>
  </li>`;
}

export function Search({ userId, language, texts, onPlay, onError }) {
  const [text, setText] = useState("");
  const found = useSearch(text, { language, userId, onError });
  const isSearching = Boolean(text.trim());
  return html`<div class="search" role="search">
    <input type="search" aria-label=${texts.find} placeholder=${texts.find} value=${text} maxlength=${MAX_QUERY_LENGTH}
      onInput=${(event) => setText(event.target.value)} />
    ${isSearching &&
    html`<ul class="found">
      ${found.map(
        (track) => html`<${FoundSong} key=${track.track_id} track=${track} isReasonShown=${true} onClick=${() => onPlay(track)} />`,
      )}
    </ul>`}
  </div>`;
}

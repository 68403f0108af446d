// Search for songs and artists by names, and for songs by what they are like.
import * as api from "../base.js";
import { address, facetName, keepAddress } from "../base.js";
import { Cover, Icon, LoadingRows } from "../parts.js";
import { Rows } from "../player.js";
import { useSession } from "../session.js";
import { html, useEffect, useState } from "../vendor/preact.mjs";

const TYPING_MS = 200;
const MOODS = ["quiet", "happy", "sad", "romantic", "relaxed", "excited", "nostalgic", "healing", "study", "night", "driving", "sport", "rock", "folk", "jazz", "electronic", "piano", "Cantonese", "Japanese"];
const MAX_ARTISTS = 6;

// The songs that match the text; `isEmptyAllowed`: the most played ones without a text. null until there is an answer.
export function useSearch(text, { language, userId = null, isEmptyAllowed = false, onError }) {
  const [found, setFound] = useState(null);
  const isSearching = Boolean(text.trim()) || isEmptyAllowed;
  useEffect(() => {
    let isCurrent = true;
    if (!isSearching) setFound(null);
    const later = isSearching
      ? setTimeout(() => api.search(text, language, userId).then((answer) => isCurrent && setFound(answer), onError), text ? TYPING_MS : 0)
      : 0;
    return () => {
      isCurrent = false;
      clearTimeout(later);
    };
  }, [text, language, userId]);
  return found;
}

export function SearchField({ value, onInput, texts, isFocused = false, id }) {
  return html`<div class="search-field"><${Icon} name="search" />
    <input type="search" id=${id} aria-label=${texts.find} placeholder=${texts.find} value=${value} maxlength=${api.MAX_TEXT_LENGTH} autocomplete="off"
      ref=${(node) => isFocused && node && !node.dataset.focused && ((node.dataset.focused = "yes"), node.focus())}
      onInput=${(event) => onInput(event.target.value)} /></div>`;
}

// Artists of the found songs whose name has the text, those with most songs first.
function artistsOf(tracks, text) {
  const counts = new Map();
  for (const track of tracks)
    (track.artist_ids || []).forEach((id, place) => counts.set(id, { id, name: track.artists[place] || id, track, count: (counts.get(id)?.count || 0) + 1 }));
  const isNamed = (artist) => artist.name.toLowerCase().includes(text.trim().toLowerCase());
  return [...counts.values()].filter(isNamed).sort((a, b) => b.count - a.count).slice(0, MAX_ARTISTS);
}

export function Search({ query = "", onWhy }) {
  const { userId, language, texts, onError } = useSession();
  const [text, setText] = useState(query);
  useEffect(() => setText(query), [query]);
  const onInput = (value) => {
    setText(value);
    keepAddress("search", value);
  };
  const found = useSearch(text, { language, userId, onError });
  const artists = found ? artistsOf(found.items, text) : [];
  return html`<div class="search" role="search">
    <h1>${texts.search}</h1>
    <${SearchField} value=${text} onInput=${onInput} texts=${texts} isFocused=${true} />
    ${!text.trim() && html`<h2>${texts.moods}</h2><ul class="moods">
      ${MOODS.map((mood) => html`<li key=${mood}><button type="button" style=${`--hue:${(MOODS.indexOf(mood) * 47) % 360}`} onClick=${() => onInput(facetName(mood, texts))}>${facetName(mood, texts)}</button></li>`)}</ul>`}
    ${!found && text.trim() && html`<${LoadingRows} />`}
    ${found && !found.items.length && html`<p class="empty">${texts.nothingFound}</p>`}
    ${artists.length > 0 && html`<h2>${texts.artists}</h2><ul class="artist-chips">
      ${artists.map((artist) => html`<li key=${artist.id}><a href=${address("artist", artist.id, artist.name)}><${Cover} track=${artist.track} />${artist.name}</a></li>`)}</ul>`}
    ${found?.items.length > 0 && html`<h2>${texts.songs}</h2><${Rows} tracks=${found.items} noteOf=${(track) => track.reason} onWhy=${onWhy} />`}
  </div>`;
}

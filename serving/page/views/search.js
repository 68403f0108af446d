// Search for songs, artists, albums and playlists by names, and for songs by what they are like.
import * as api from "../base.js";
import { address, facetName, format, keepAddress, sentence } from "../base.js";
import { Cover, Icon, LoadingRows } from "../parts.js";
import { Rows } from "../player_view.js";
import { useSession } from "../player.js";
import { html, useEffect, useState } from "../vendor/preact.mjs";

const TYPING_MS = 200;
const MOODS = ["quiet", "happy", "sad", "romantic", "relaxed", "excited", "nostalgic", "healing", "study", "night", "driving", "sport", "rock", "folk", "jazz", "electronic", "piano", "Cantonese", "Japanese"];
const DECADES = ["70", "80", "90", "2000", "2010", "2020"];
const SUGGESTIONS = ["quiet", "driving", "jazz"];

// The answer to the text; `isEmptyAllowed`: the most played songs without a text. null until there is an answer.
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

// "No song was released at that time: 80s; showing jazz"
function summaryOf({ items, understood = [], unmet = {} }, texts) {
  const names = understood.map((part) => {
    const name = part.values.map((value) => facetName(value, texts)).join(" / ") || part.text;
    return part.is_excluded ? format(texts.without, { part: name }) : name;
  });
  const showing = items.length && names.length ? [format(texts.showing, { parts: names.join(" · ") })] : [];
  return sentence([...Object.values(unmet), ...showing].join(texts.partSeparator));
}

// The values that the text asks for and only some of the songs have, as chips of a song.
function chipsOf({ items, understood = [] }, texts) {
  const asked = [...new Set(understood.flatMap((part) => (part.is_excluded ? [] : part.values)))];
  const telling = asked.filter((value) => !items.every((track) => track.facets?.includes(value)));
  return (track) => {
    const values = telling.filter((value) => track.facets?.includes(value));
    return values.length > 0 && values.map((value) => html`<span class="chip" key=${value}>${facetName(value, texts)}</span>`);
  };
}

function Links({ title, links, class: name = "" }) {
  return links.length > 0 && html`<h2>${title}</h2><ul class=${`artist-chips ${name}`}>
    ${links.map(({ href, text, track }) => html`<li key=${href}><a href=${href}><${Cover} track=${track} />${text}</a></li>`)}</ul>`;
}

function Found({ found, onText, onWhy }) {
  const { texts } = useSession();
  const { items, artists = [], albums = [], playlists = [] } = found;
  const withCover = (id, isOf) => items.find(isOf) || { track_id: id };
  const summary = summaryOf(found, texts);
  return html`${summary && html`<p class="hint" role="status">${summary}</p>`}
    ${!items.length && !artists.length && !albums.length && !playlists.length && html`<p class="empty">${texts.nothingFound}</p>
      <${Moods} moods=${SUGGESTIONS.map((value) => facetName(value, texts))} onText=${onText} />`}
    <${Links} title=${texts.artists} links=${artists.map((one) => ({ href: address("artist", one.artist_id), text: one.name, track: withCover(one.artist_id, (track) => track.artist_ids?.includes(one.artist_id)) }))} />
    <${Links} title=${texts.albums} class="is-square" links=${albums.map((one) => ({ href: address("album", one.album_id), text: one.title, track: withCover(one.album_id, (track) => track.album_id === one.album_id) }))} />
    <${Links} title=${texts.playlists} class="is-square" links=${playlists.map((one) => ({ href: address("playlist", one.playlist_id), text: one.title, track: { track_id: one.playlist_id } }))} />
    ${items.length > 0 && html`<h2>${texts.songs}</h2><${Rows} tracks=${items} noteOf=${chipsOf(found, texts)} onWhy=${onWhy} />`}`;
}

function Moods({ moods, onText }) {
  return html`<ul class="moods">${moods.map((mood, place) => html`<li key=${mood}><button type="button" style=${`--hue:${(place * 47) % 360}`} onClick=${() => onText(mood)}>${mood}</button></li>`)}</ul>`;
}

export function Search({ query = "", onWhy }) {
  const { userId, language, texts, onError } = useSession();
  const [text, setText] = useState(query);
  const found = useSearch(text, { language, userId, onError });
  const onText = (value) => {
    setText(value);
    keepAddress("search", value);
  };
  const moods = [...MOODS.map((mood) => facetName(mood, texts)), ...DECADES.map((decade) => format(texts.decade, { decade }))];
  return html`<div class="search" role="search">
    <h1>${texts.search}</h1>
    <${SearchField} value=${text} onInput=${onText} texts=${texts} isFocused=${true} />
    ${!text.trim() && html`<h2>${texts.moods}</h2><${Moods} moods=${moods} onText=${onText} />`}
    ${!found && text.trim() && html`<${LoadingRows} />`}
    ${found && html`<${Found} found=${found} onText=${onText} onWhy=${onWhy} />`}
  </div>`;
}

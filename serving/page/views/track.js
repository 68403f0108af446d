// A track with similar ones, a path from it to another, and the songs of an artist.
import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { html } from "../html.js";
import { facetName, format, summary } from "../messages.js";
import { Cover, hueOf } from "../parts/cover.js";
import { Icon } from "../parts/icons.js";
import { LoadingRows } from "../parts/loading.js";
import { Artists, LikeButton, Rows } from "../parts/rows.js";
import { useSession } from "../playback/session.js";
import { address } from "../route.js";
import { SearchField, useSearch } from "./search.js";

// The tracks that the page has shown, by id.
const seen = new Map();
export const remember = (tracks) => tracks.forEach((track) => track.track_id && seen.set(track.track_id, track));

function useAnswer(ask, parts) {
  const { onError } = useSession();
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    setAnswer(null);
    ask().then((found) => isCurrent && setAnswer(found), onError);
    return () => (isCurrent = false);
  }, parts);
  return answer;
}

// The details of a track, from what was shown, or else from a path of it alone.
function useTrack(trackId) {
  const { userId, language, onError } = useSession();
  const [track, setTrack] = useState(seen.get(trackId) || null);
  useEffect(() => {
    if (seen.has(trackId)) return setTrack(seen.get(trackId));
    let isCurrent = true;
    api.similar(trackId, userId, language, 1)
      .then(({ items }) => items[0] && api.path(trackId, items[0].track_id, userId, language))
      .then((found) => {
        remember(found?.items || []);
        if (isCurrent) setTrack(seen.get(trackId) || { track_id: trackId, title: trackId, artists: [], artist_ids: [] });
      }, onError);
    return () => (isCurrent = false);
  }, [trackId]);
  return track;
}

function TrackHero({ track, children }) {
  const { texts, playList } = useSession();
  return html`<header class="hero" style=${`--hue:${hueOf(track)}`}>
    <${Cover} track=${track} />
    <div class="hero-text"><h1>${track.title}</h1><p class="sub"><${Artists} track=${track} /></p>
      ${track.facets?.length > 0 && html`<ul class="chips">${track.facets.map((facet) => html`<li key=${facet}><a href=${address("search", facetName(facet, texts))}>${facetName(facet, texts)}</a></li>`)}</ul>`}
      <div class="buttons">
        <button type="button" class="pill main" onClick=${() => playList([track], 0, () => ({}))}><${Icon} name="play" />${texts.play}</button>
        ${children}
        <${LikeButton} track=${track} class="round" />
      </div></div>
  </header>`;
}

export function TrackPage({ trackId, onWhy }) {
  const { userId, language, texts } = useSession();
  const track = useTrack(trackId);
  const answer = useAnswer(() => api.similar(trackId, userId, language), [trackId, language]);
  const shownOf = (position) => ({ request_id: answer.request_id, position, scene: "similar" });
  return html`<div>
    ${track && html`<${TrackHero} track=${track}><a class="pill" href=${address("path", trackId)}><${Icon} name="path" />${texts.pathFrom}</a></${TrackHero}>`}
    <h2>${texts.scenes.similar}</h2>
    ${!answer ? html`<${LoadingRows} />` : answer.items.length ? html`<${Rows} tracks=${answer.items} shownOf=${shownOf} onWhy=${onWhy} />` : html`<p class="empty">${texts.noneHere}</p>`}
  </div>`;
}

export function PathPage({ from, to, onWhy }) {
  const { userId, language, texts, playList, onError } = useSession();
  const [text, setText] = useState("");
  const track = useTrack(from);
  const found = useSearch(text, { language, userId, onError });
  const answer = useAnswer(() => (to ? api.path(from, to, userId, language) : Promise.resolve(null)), [from, to, language]);
  const shownOf = (position) => ({ request_id: answer.request_id, position, scene: "path" });
  const last = answer?.items.at(-1);
  return html`<div>
    <h1>${texts.pathTitle}</h1><p class="hint">${texts.pathHint}</p>
    <div class="path-ends">
      <div class="path-end"><span class="hint">${texts.from}</span>${track && html`<${Cover} track=${track} /><p class="title">${track.title}</p>`}</div>
      <${Icon} name="path" />
      <div class="path-end"><span class="hint">${texts.to}</span>${last ? html`<${Cover} track=${last} /><p class="title">${last.title}</p>` : html`<span class="cover is-empty"></span><p class="title">${texts.chooseEnd}</p>`}</div>
    </div>
    ${!to && html`<${SearchField} value=${text} onInput=${setText} texts=${texts} />
      ${found && html`<ul class="found">${found.filter((one) => one.track_id !== from).map((one) => html`<li key=${one.track_id}>
        <a href=${address("path", from, one.track_id)} onClick=${() => remember([one])}><${Cover} track=${one} /><span class="what"><span class="title">${one.title}</span><span class="sub">${one.artists.join(", ")}</span></span></a></li>`)}</ul>`}`}
    ${to && !answer && html`<${LoadingRows} />`}
    ${answer && html`<div class="buttons"><button type="button" class="pill main" onClick=${() => playList(answer.items, 0, shownOf)}><${Icon} name="play" />${texts.play}</button>
      <a class="pill" href=${address("path", from)}>${texts.otherEnd}</a><span class="hint">${summary(answer.items, texts)}</span></div>
      <${Rows} tracks=${answer.items} shownOf=${shownOf} onWhy=${onWhy} />`}
  </div>`;
}

export function ArtistPage({ artistId, name, onWhy }) {
  const { userId, language, texts, has, block, reverse, playList } = useSession();
  const found = useAnswer(() => api.search(name, language, userId, 50), [name, language]);
  const tracks = (found?.items || []).filter((track) => (track.artist_ids || []).includes(artistId));
  const isBlocked = has("blocked", "artist", artistId);
  const entry = { target_type: "artist", target_id: artistId, name };
  return html`<div>
    <header class="hero" style=${`--hue:${hueOf(tracks[0])}`}><${Cover} track=${tracks[0] || { track_id: artistId }} class="is-artist" />
      <div class="hero-text"><p class="hint">${texts.artist}</p><h1>${name}</h1>
        ${tracks.length > 0 && html`<p class="hint">${summary(tracks, texts)}</p>`}
        <div class="buttons">${tracks.length > 0 && !isBlocked && html`<button type="button" class="pill main" onClick=${() => playList(tracks, 0, () => ({}))}><${Icon} name="play" />${texts.play}</button>`}
          <button type="button" class="pill" aria-pressed=${isBlocked} onClick=${() => (isBlocked ? reverse("block", entry) : block(artistId, name, {}))}>
          <${Icon} name="hide" />${isBlocked ? texts.unblock : format(texts.block, { artist: name })}</button></div></div></header>
    ${isBlocked ? html`<p class="empty">${format(texts.blockedToast, { name })}</p>`
      : !found ? html`<${LoadingRows} />` : (tracks.length ? html`<h2>${texts.songs}</h2><${Rows} tracks=${tracks} onWhy=${onWhy} />` : html`<p class="empty">${texts.noneHere}</p>`)}
  </div>`;
}

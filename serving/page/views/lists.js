// Lists with addresses of their own: playlists, an album, an artist, a track with similar ones, and a path to another track.
import * as api from "../base.js";
import { address, facetName, format, formatCount, sentence, summary, useAnswer } from "../base.js";
import { Cover, hueOf, Icon, LoadingRows, LoadingTiles, Mosaic } from "../parts.js";
import { Artists, LikeButton, Rows } from "../player_view.js";
import { useSession } from "../player.js";
import { html, useEffect, useState } from "../vendor/preact.mjs";
import { PlaylistTiles, shownPlaylists, useOpening } from "./home.js";
import { SearchField, useSearch } from "./search.js";

const MAX_SEEDS = 100;

export function Playlists() {
  const { userId, language, texts, onError } = useSession();
  const answer = useAnswer(() => api.recommend(userId, "playlists", language, { limit: 18 }), [language, userId], onError);
  return html`<div><h1>${texts.playlists}</h1>
    ${answer && !answer.items.length && html`<p class="hint">${texts.noneHere}</p>`}
    <ul class="tiles is-grid" aria-busy=${!answer}>${answer ? html`<${PlaylistTiles} answer=${answer} />` : html`<${LoadingTiles} />`}</ul>
  </div>`;
}

// Tracks that go on from others, without those that the listener wants less of.
export function Continuation({ title, hint, seeds, query = "", limit = 20, onWhy }) {
  const { userId, language, texts, negatives, forgive, playList, onError } = useSession();
  const negative = negatives.map((track) => track.track_id);
  const chosen = seeds.filter((id) => !negative.includes(id)).slice(0, MAX_SEEDS);
  const more = useAnswer(
    () => (chosen.length ? api.continuation(chosen, userId, language, { title: query, limit, negative }) : null),
    [chosen.join(), negative.join(), language], onError,
  );
  const shownOf = (position) => ({ request_id: more.request_id, position, scene: "continuation" });
  if (!more?.items.length) return null;
  return html`<h2>${title}</h2>${hint && html`<p class="hint">${formatCount(texts, hint, more.items.length)}</p>`}
    <${LessLike} tracks=${negatives} onForgive=${forgive} />
    <${Rows} tracks=${more.items} onWhy=${onWhy} shownOf=${shownOf} onPlay=${(place) => playList(more.items, place, shownOf)} />`;
}

// What a list has less of, with buttons that take it back.
function LessLike({ tracks, onForgive }) {
  const { texts } = useSession();
  if (!tracks.length) return null;
  return html`<ul class="chips less">${tracks.map((track) => html`<li key=${track.track_id}>${format(texts.lessLike, { name: track.title })}
    <button type="button" class="plain" aria-label=${`${texts.undo}: ${track.title}`} onClick=${() => onForgive(track)}><${Icon} name="close" /></button></li>`)}</ul>`;
}

// A playlist, an album or an artist, without the tracks that the listener has hidden; null until it is loaded.
function useEntry(kind, id) {
  const { isVisible, onError } = useSession();
  const found = useAnswer(() => api.entry(kind, id), [`${kind}:${id}`], onError);
  if (!found) return null;
  const tracks = found.tracks.filter(isVisible);
  return { title: found.title || id, query: found.title, tracks, count: found.track_count - (found.tracks.length - tracks.length) };
}

function Hero({ tracks, kind, title, sub, children, isRound = false }) {
  const picture = tracks.length > 1 && !isRound ? html`<${Mosaic} tracks=${tracks} />` : html`<${Cover} track=${tracks[0]} class=${isRound ? "is-artist" : ""} />`;
  return html`<header class="hero" style=${`--hue:${hueOf(tracks[0])}`}>${picture}
    <div class="hero-text"><p class="hint">${kind}</p><h1>${title}</h1>${sub && html`<p class="hint">${sub}</p>`}<div class="buttons">${children}</div></div>
  </header>`;
}

function PlayPill({ onPlay }) {
  const { texts } = useSession();
  return html`<button type="button" class="pill main" onClick=${onPlay}><${Icon} name="play" />${texts.play}</button>`;
}

export function Playlist({ id, onWhy }) {
  const { texts, has, toggleSave, isLeftOut, leaveOut, countAgain } = useSession();
  const { click, play, contextOf } = useOpening();
  const opened = shownPlaylists.get(id);
  const playlist = useEntry("playlist", id);
  useEffect(() => {
    if (opened) click(id, opened.shown);
  }, [id]);
  if (!playlist) return html`<${LoadingRows} />`;
  const { title, query, tracks, count } = playlist;
  const isSaved = has("collected", "playlist", id);
  const isOut = isLeftOut("playlist", id);
  const sub = [summary(tracks, texts, count), opened && sentence(opened.reason)].filter(Boolean).join(" · ");
  return html`<div>
    <${Hero} tracks=${tracks} kind=${texts.playlist} title=${title} sub=${sub}>
      <${PlayPill} onPlay=${() => play(id, tracks)} />
      <button type="button" class="pill" aria-pressed=${isSaved} onClick=${() => toggleSave({ type: "playlist", id, name: title }, opened?.shown)}><${Icon} name=${isSaved ? "saved" : "save"} />${isSaved ? texts.uncollect : texts.collect}</button>
      <button type="button" class="pill" aria-pressed=${isOut} onClick=${() => (isOut ? countAgain("exclude", "playlist", id, title) : leaveOut("playlist", id, title))}>
        <${Icon} name=${isOut ? "count" : "leave"} />${isOut ? texts.countAgain : texts.leaveOut}</button>
    </${Hero}>
    <${Rows} tracks=${tracks} shownOf=${contextOf(id)} onPlay=${(place) => play(id, tracks, place)} />
    <${Continuation} title=${texts.goesOn} hint="goesOnHint" seeds=${tracks.map((track) => track.track_id)} query=${query} onWhy=${onWhy} />
  </div>`;
}

export function Album({ id, onWhy }) {
  const { texts, playList, isLeftOut, leaveOut, countAgain } = useSession();
  const album = useEntry("album", id);
  if (!album) return html`<${LoadingRows} />`;
  const { title, tracks, count } = album;
  const isOut = isLeftOut("album", id);
  return html`<div>
    <${Hero} tracks=${tracks.slice(0, 1)} kind=${texts.album} title=${title} sub=${summary(tracks, texts, count)}>
      <${PlayPill} onPlay=${() => playList(tracks, 0, () => ({}))} />
      <button type="button" class="pill" aria-pressed=${isOut} onClick=${() => (isOut ? countAgain("exclude", "album", id, title) : leaveOut("album", id, title))}>
        <${Icon} name=${isOut ? "count" : "leave"} />${isOut ? texts.countAgain : texts.leaveOut}</button>
    </${Hero}>
    <${Rows} tracks=${tracks} onWhy=${onWhy} />
  </div>`;
}

export function Artist({ id, onWhy }) {
  const { texts, has, block, reverse, playList } = useSession();
  const artist = useEntry("artist", id);
  if (!artist) return html`<${LoadingRows} />`;
  const { title: name, tracks, count } = artist;
  const isBlocked = has("blocked", "artist", id);
  return html`<div>
    <${Hero} tracks=${tracks} kind=${texts.artist} title=${name} sub=${summary(tracks, texts, count)} isRound=${true}>
      ${!isBlocked && html`<${PlayPill} onPlay=${() => playList(tracks, 0, () => ({}))} />`}
      <button type="button" class="pill" aria-pressed=${isBlocked} onClick=${() => (isBlocked ? reverse("block", { target_type: "artist", target_id: id, name }) : block(id, name, {}))}>
        <${Icon} name="hide" />${isBlocked ? texts.unblock : format(texts.block, { artist: name })}</button>
    </${Hero}>
    ${isBlocked ? html`<p class="empty">${format(texts.blockedToast, { name })}</p>` : html`<h2>${texts.songs}</h2><${Rows} tracks=${tracks} onWhy=${onWhy} />`}
  </div>`;
}

export function Track({ id, onWhy }) {
  const { userId, language, texts, negatives, forgive, playList, onError } = useSession();
  const track = useAnswer(() => api.entry("track", id), [id], onError);
  const negative = negatives.map((one) => one.track_id).filter((one) => one !== id);
  const answer = useAnswer(() => api.similar(id, userId, language, { negative }), [id, language, negative.join()], onError);
  const shownOf = (position) => ({ request_id: answer.request_id, position, scene: "similar" });
  return html`<div>
    ${track && html`<header class="hero" style=${`--hue:${hueOf(track)}`}><${Cover} track=${track} />
      <div class="hero-text"><h1>${track.title || id}</h1><p class="sub"><${Artists} track=${track} />${track.album_id && html` · <a href=${address("album", track.album_id)}>${track.album || texts.thisAlbum}</a>`}</p>
        ${track.facets.length > 0 && html`<ul class="chips">${track.facets.map((facet) => html`<li key=${facet}><a href=${address("search", facetName(facet, texts))}>${facetName(facet, texts)}</a></li>`)}</ul>`}
        <div class="buttons"><${PlayPill} onPlay=${() => playList([track], 0, () => ({}))} />
          <a class="pill" href=${address("path", id)}><${Icon} name="path" />${texts.pathFrom}</a><${LikeButton} track=${track} class="round" /></div></div></header>`}
    <h2>${texts.scenes.similar}</h2>
    <${LessLike} tracks=${negatives} onForgive=${forgive} />
    ${!answer ? html`<${LoadingRows} />` : answer.items.length ? html`<${Rows} tracks=${answer.items} shownOf=${shownOf} onWhy=${onWhy} />` : html`<p class="empty">${texts.noneHere}</p>`}
  </div>`;
}

function PathEnd({ label, track, empty }) {
  return html`<div class="path-end"><span class="hint">${label}</span>${track ? html`<${Cover} track=${track} /><p class="title">${track.title}</p>` : html`<span class="cover is-empty"></span><p class="title">${empty}</p>`}</div>`;
}

export function Path({ from, to, onWhy }) {
  const { userId, language, texts, playList, onError } = useSession();
  const [text, setText] = useState("");
  const track = useAnswer(() => api.entry("track", from), [from], onError);
  const found = useSearch(text, { language, userId, onError });
  const answer = useAnswer(() => (to ? api.path(from, to, userId, language) : null), [from, to, language], onError);
  const shownOf = (position) => ({ request_id: answer.request_id, position, scene: "path" });
  return html`<div>
    <h1>${texts.pathTitle}</h1><p class="hint">${texts.pathHint}</p>
    <div class="path-ends"><${PathEnd} label=${texts.from} track=${track} /><${Icon} name="path" /><${PathEnd} label=${texts.to} track=${answer?.items.at(-1)} empty=${texts.chooseEnd} /></div>
    ${!to && html`<${SearchField} value=${text} onInput=${setText} texts=${texts} />
      ${found && html`<ul class="found">${found.items.filter((one) => one.track_id !== from).map((one) => html`<li key=${one.track_id}>
        <a href=${address("path", from, one.track_id)}><${Cover} track=${one} /><span class="what"><span class="title">${one.title}</span><span class="sub">${one.artists.join(", ")}</span></span></a></li>`)}</ul>`}`}
    ${to && !answer && html`<${LoadingRows} />`}
    ${answer && html`<div class="buttons"><${PlayPill} onPlay=${() => playList(answer.items, 0, shownOf)} />
      <a class="pill" href=${address("path", from)}>${texts.otherEnd}</a><span class="hint">${summary(answer.items, texts)}</span></div>
      <${Rows} tracks=${answer.items} shownOf=${shownOf} onWhy=${onWhy} />`}
  </div>`;
}

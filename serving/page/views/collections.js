// Playlists and short videos as tiles, and one of them with its songs and songs that continue it.
import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { html } from "../html.js";
import { formatCount, sentence, summary } from "../messages.js";
import { Cover, Mosaic, hueOf } from "../parts/cover.js";
import { Icon } from "../parts/icons.js";
import { LoadingTiles } from "../parts/loading.js";
import { Rows } from "../parts/rows.js";
import { Tile } from "../parts/tiles.js";
import { useSession } from "../playback/session.js";
import { address } from "../route.js";

const SCENES = { playlist: "playlists", mlog: "mlog" };

export const idOf = (collection) => collection.playlist_id || collection.mlog_id;

// Collections that the page has shown, by address: type:id → the collection and how it was shown.
const shownCollections = new Map();

function useOpening(kind) {
  const { userId, playList, onError } = useSession();
  return {
    click: (collection, shown) => api.report(userId, kind, idOf(collection), "click", shown).catch(onError),
    // The response showed the collection, not the song: the event names the collection as context and no response.
    play: (collection, place = 0) => playList(collection.tracks, place, () => ({ context_id: `${kind}:${idOf(collection)}`, scene: SCENES[kind] })),
  };
}

export function CollectionTiles({ answer, kind }) {
  const { texts, has } = useSession();
  const { click, play } = useOpening(kind);
  return answer.items.map((collection, position) => {
    const shown = { request_id: answer.request_id, position, scene: SCENES[kind] };
    const id = idOf(collection);
    shownCollections.set(`${kind}:${id}`, { collection, shown });
    if (has("disliked", kind, id)) return null;
    const start = () => {
      click(collection, shown);
      play(collection);
    };
    return html`<${Tile} key=${id} tracks=${collection.tracks} title=${collection.title || id} sub=${sentence(collection.reason)} isWide=${kind === "mlog"}
      href=${address(kind, id)} playLabel=${`${texts.play} ${collection.title || id}`} onPlay=${start} />`;
  });
}

export function Collections({ kind }) {
  const { userId, language, texts, version, onError } = useSession();
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    setAnswer(null);
    api.recommend(userId, SCENES[kind], language, kind === "playlist" ? { limit: 18 } : { limit: 12 }).then((found) => isCurrent && setAnswer(found), onError);
    return () => (isCurrent = false);
  }, [kind, language, userId]);
  return html`<div><h1>${kind === "playlist" ? texts.playlists : texts.videos}</h1>
    ${answer && !answer.items.length && html`<p class="hint">${texts.noneHere}</p>`}
    <ul class=${`tiles is-grid ${kind === "mlog" ? "are-wide" : ""}`} aria-busy=${!answer}>
      ${answer ? html`<${CollectionTiles} answer=${answer} kind=${kind} />` : html`<${LoadingTiles} isWide=${kind === "mlog"} />`}</ul>
  </div>`;
}

export function Collection({ kind, id, onWhy }) {
  const session = useSession();
  const { userId, language, texts, has, toggleSave, playList, isLeftOut, leaveOut, countAgain, onError } = session;
  const { click, play } = useOpening(kind);
  const known = shownCollections.get(`${kind}:${id}`);
  const [more, setMore] = useState(null);
  useEffect(() => {
    if (!known) {
      location.hash = address(kind === "playlist" ? "playlists" : "videos");
      return undefined;
    }
    let isCurrent = true;
    const { collection, shown } = known;
    click(collection, shown)
      .then(() => api.continuation(collection.tracks.map((track) => track.track_id), kind === "playlist" ? collection.title : "", userId, language))
      .then((found) => isCurrent && setMore(found), onError);
    return () => (isCurrent = false);
  }, [kind, id, language]);
  if (!known) return null;
  const { collection, shown } = known;
  const target = { type: kind, id, name: collection.title };
  const isSaved = has("collected", kind, id);
  const isOut = isLeftOut(kind, id);
  const name = collection.title || id;
  return html`<div>
    <header class="hero" style=${`--hue:${hueOf(collection.tracks[0])}`}>
      ${kind === "mlog" ? html`<${Cover} track=${collection.tracks[0]} />` : html`<${Mosaic} tracks=${collection.tracks} />`}
      <div class="hero-text"><h1>${collection.title || id}</h1>
        <p class="hint">${summary(collection.tracks, texts)} · ${sentence(collection.reason)}</p>
        <div class="buttons">
          <button type="button" class="pill main" onClick=${() => play(collection)}><${Icon} name="play" />${texts.play}</button>
          <button type="button" class="pill" aria-pressed=${isSaved} onClick=${() => toggleSave(target, shown)}><${Icon} name=${isSaved ? "saved" : "save"} />${isSaved ? texts.uncollect : texts.collect}</button>
          ${kind === "playlist" && html`<button type="button" class="pill" aria-pressed=${isOut} onClick=${() => (isOut ? countAgain("exclude", kind, id, name) : leaveOut(kind, id, name))}>
            <${Icon} name=${isOut ? "count" : "leave"} />${isOut ? texts.countAgain : texts.leaveOut}</button>`}
        </div>
      </div>
    </header>
    <${Rows} tracks=${collection.tracks} shownOf=${() => ({ context_id: `${kind}:${id}`, scene: SCENES[kind] })} onPlay=${(place) => play(collection, place)} />
    ${more?.items.length > 0 && html`<h2>${texts.goesOn}</h2><p class="hint">${formatCount(texts, "goesOnHint", more.items.length)}</p>
      <${Rows} tracks=${more.items} onWhy=${onWhy} shownOf=${(position) => ({ request_id: more.request_id, position, scene: "continuation" })}
        onPlay=${(place) => playList(more.items, place, (position) => ({ request_id: more.request_id, position, scene: "continuation" }))} />`}
  </div>`;
}

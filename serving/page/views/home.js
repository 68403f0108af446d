// Home: the list of the day, and shelves of what is not in it.
import * as api from "../base.js";
import { address, format, formatCount, summary } from "../base.js";
import { hueOf, Icon, LoadingRows, Mosaic, Shelf, Tile } from "../parts.js";
import { Rows } from "../player_view.js";
import { RADIO, useSession } from "../player.js";
import { html, useEffect, useState } from "../vendor/preact.mjs";

const PLACED_SCENES = new Set(["daily", RADIO]);
const SHOWN = 8;
const SHELF_LENGTH = 12;
const MIN_SHELF = 3;

// Most played tracks of the recent events.
function onRepeat(events) {
  const plays = new Map();
  for (const event of events.filter((one) => one.behavior === "full_play" || one.behavior === "play"))
    plays.set(event.track_id, { track: event, count: (plays.get(event.track_id)?.count || 0) + 1 });
  return [...plays.values()].sort((a, b) => b.count - a.count).map((one) => one.track);
}

// The track that the shelf "Because you like ..." starts from: the one liked last, else the one played most.
const seedOf = (events) =>
  events.filter((event) => event.behavior === "like" || event.behavior === "collect").at(-1) || onRepeat(events)[0];

// Lists below the list of the day, each without the tracks above it.
function useShelves({ userId, language, daily, onError }) {
  const [shelves, setShelves] = useState([]);
  const isReady = daily !== null;
  useEffect(() => {
    if (!isReady) return undefined;
    let isCurrent = true;
    const above = new Set(daily.items.map((track) => track.track_id));
    const show = (shelf) => {
      const tracks = shelf.tracks?.filter((track) => !above.has(track.track_id)).slice(0, SHELF_LENGTH);
      tracks?.forEach((track) => above.add(track.track_id));
      if (isCurrent && (!tracks || tracks.length >= MIN_SHELF)) setShelves((all) => [...all, { ...shelf, tracks }]);
    };
    const excluding = () => ({ limit: SHELF_LENGTH, exclude: [...above] });
    const request = async () => {
      const profile = await api.listener(userId);
      const events = api.known(profile.events);
      show({ id: "repeat", tracks: onRepeat(events) });
      const seed = seedOf(events);
      if (seed) {
        const answer = await api.similar(seed.track_id, userId, language, excluding());
        show({ id: "because", seed, answer: { ...answer, scene: "similar" }, tracks: answer.items });
      }
      if (profile.is_own_catalog) show({ id: "own" });
      else {
        const answer = await api.recommend(userId, RADIO, language, { discovery: 1, ...excluding() });
        show({ id: "fresh", answer, tracks: answer.items });
      }
      show({ id: "playlists", answer: await api.recommend(userId, "playlists", language, { limit: 8 }) });
      // Scenes of tracks that have no place of their own on the page.
      for (const scene of await api.scenes()) {
        if (scene.target_type !== "track" || PLACED_SCENES.has(scene.name)) continue;
        const answer = await api.recommend(userId, scene.name, language, excluding());
        show({ id: scene.name, answer, tracks: answer.items });
      }
    };
    setShelves([]);
    request().catch(onError);
    return () => (isCurrent = false);
  }, [userId, language, isReady]);
  return shelves;
}

function TrackTiles({ tracks, answer }) {
  const { texts, playList, isVisible } = useSession();
  // A list that was filtered: the position in the response, not on the shelf.
  const positions = new Map((answer?.items || []).map((track, position) => [track.track_id, position]));
  const shownOf = (place) => (answer ? { request_id: answer.request_id, position: positions.get(tracks[place].track_id), scene: answer.scene } : {});
  return tracks.map((track, place) => isVisible(track) && html`<${Tile} key=${track.track_id} id=${track.track_id} tracks=${[track]} title=${track.title || track.track_id}
    sub=${track.artists.join(", ")} playLabel=${`${texts.play} ${track.title}`} onPlay=${() => playList(tracks, place, shownOf)} />`);
}

function ShelfOf({ id, tracks, answer, seed }) {
  const { texts } = useSession();
  const all = (place) => html`<a class="link" href=${place}>${texts.seeAll}</a>`;
  if (id === "own") return html`<section class="shelf" aria-labelledby="fresh"><header><h2 id="fresh">${texts.newForYou}</h2></header><p class="notice">${texts.ownCatalog}</p></section>`;
  if (id === "playlists")
    return answer.items.length > 0 && html`<${Shelf} id=${id} title=${texts.playlistsForYou} more=${all(address("playlists"))}><${PlaylistTiles} answer=${answer} /></${Shelf}>`;
  const parts = {
    repeat: { title: texts.onRepeat },
    because: { title: seed && format(texts.becauseYouLike, { title: seed.title }), more: seed && all(address("track", seed.track_id)) },
    fresh: { title: texts.newForYou, sub: texts.newForYouHint },
  }[id] || { title: texts.scenes[id] || id };
  return html`<${Shelf} id=${id} title=${parts.title} sub=${parts.sub} more=${parts.more}><${TrackTiles} tracks=${tracks} answer=${answer} /></${Shelf}>`;
}

function greeting(texts) {
  const hour = new Date().getHours();
  return hour < 5 ? texts.goodNight : hour < 12 ? texts.goodMorning : hour < 18 ? texts.goodAfternoon : texts.goodEvening;
}

function Daily({ answer, onWhy }) {
  const { texts, playList } = useSession();
  const [isWhole, setWhole] = useState(false);
  const { items } = answer;
  const shownOf = (place) => ({ request_id: answer.request_id, position: place, scene: answer.scene });
  const shuffle = () => {
    const order = items.map((track, place) => ({ track, place, at: Math.random() })).sort((a, b) => a.at - b.at);
    playList(order.map((one) => one.track), 0, (index) => shownOf(order[index].place));
  };
  if (!items.length) return html`<p class="hint">${texts.noRelease}</p>`;
  return html`<section class="daily" aria-labelledby="daily" style=${`--hue:${hueOf(items[0])}`}>
    <div class="hero">
      <${Mosaic} tracks=${items} />
      <div class="hero-text">
        <h2 id="daily">${format(texts.daily, { count: items.length })}</h2>
        <p class="hint">${summary(items, texts)}</p>
        <div class="buttons">
          <button type="button" class="pill main" onClick=${() => playList(items, 0, shownOf)}><${Icon} name="play" />${texts.play}</button>
          <button type="button" class="pill" onClick=${shuffle}><${Icon} name="shuffle" />${texts.shuffle}</button>
        </div>
      </div>
    </div>
    ${answer.degraded && html`<p class="notice" role="status" title=${Object.values(answer.degraded).join("; ")}>${texts.degraded}</p>`}
    <${Rows} tracks=${isWhole ? items : items.slice(0, SHOWN)} shownOf=${shownOf} onWhy=${onWhy} columns=${2} onPlay=${(place) => playList(items, place, shownOf)} />
    ${items.length > SHOWN && html`<button type="button" class="link" aria-expanded=${isWhole} onClick=${() => setWhole(!isWhole)}>
      ${isWhole ? texts.showLess : format(texts.showAll, { count: items.length })}</button>`}
  </section>`;
}

export function Home({ daily, onWhy }) {
  const { userId, language, texts, exclusions, start, onError } = useSession();
  const [answer, setAnswer] = useState(null);
  const shelves = useShelves({ userId, language, daily: answer, onError });
  useEffect(() => {
    let isCurrent = true;
    daily(userId, language, exclusions)
      .then((next) => isCurrent && setAnswer(next), onError)
      .then(() => isCurrent && !exclusions && setTimeout(start)); // after the list is drawn
    return () => (isCurrent = false);
  }, [userId, language, exclusions]);
  return html`<div class="home">
    <h1 class="greeting">${greeting(texts)}</h1>
    ${answer ? html`<${Daily} answer=${answer} onWhy=${onWhy} />` : html`<div class="daily is-loading" aria-busy="true"><div class="hero"><span class="cover"></span></div><${LoadingRows} count=${SHOWN} /></div>`}
    ${shelves.map((shelf) => html`<${ShelfOf} key=${shelf.id} ...${shelf} />`)}
  </div>`;
}

// ---- Playlists as tiles

// Playlists that the page has shown, by id: how, and why.
export const shownPlaylists = new Map();

// Reports that a playlist was opened, or plays its tracks with it as context: the response showed the playlist, not the track.
export function useOpening() {
  const { userId, playList, onError } = useSession();
  const contextOf = (id) => () => ({ context_id: `playlist:${id}`, scene: "playlists" });
  return {
    contextOf,
    click: (id, shown) => api.report(userId, "playlist", id, "click", shown).catch(onError),
    play: (id, tracks, place = 0) => playList(tracks, place, contextOf(id)),
  };
}

export function PlaylistTiles({ answer }) {
  const { texts, has, onError } = useSession();
  const { click, play } = useOpening();
  return answer.items.map((playlist, position) => {
    const { playlist_id: id, title, reason, track_count: count, tracks } = playlist;
    const shown = { request_id: answer.request_id, position, scene: "playlists" };
    shownPlaylists.set(id, { shown, reason });
    if (has("disliked", "playlist", id)) return null;
    const start = () => {
      click(id, shown);
      api.entry("playlist", id).then((whole) => play(id, whole.tracks), onError);
    };
    return html`<${Tile} key=${id} tracks=${tracks} title=${title || id} sub=${`${formatCount(texts, "songCount", count)} · ${reason}`}
      href=${address("playlist", id)} playLabel=${`${texts.play} ${title || id}`} onPlay=${start} />`;
  });
}

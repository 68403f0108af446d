// Home: the list of the day, and shelves.
import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { html } from "../html.js";
import { format, summary } from "../messages.js";
import { Mosaic, hueOf } from "../parts/cover.js";
import { Icon } from "../parts/icons.js";
import { LoadingRows } from "../parts/loading.js";
import { Rows } from "../parts/rows.js";
import { Shelf, Tile } from "../parts/tiles.js";
import { RADIO, useSession } from "../playback/session.js";
import { address } from "../route.js";
import { CollectionTiles } from "./collections.js";

const PLACED_SCENES = new Set(["daily", RADIO]);
const SHOWN = 8;
const NEW_SHOWN = 12;

// Most played tracks of the recent events, at least two plays each unless there are few.
function onRepeat(events) {
  const plays = new Map();
  for (const event of events.filter((one) => one.behavior === "full_play" || one.behavior === "play"))
    plays.set(event.track_id, { track: event, count: (plays.get(event.track_id)?.count || 0) + 1 });
  return [...plays.values()].sort((a, b) => b.count - a.count).slice(0, 12);
}

// The track that the shelf "Because you like ..." starts from: the one liked last, else the one played most.
const seedOf = (events) =>
  events.filter((event) => event.behavior === "like" || event.behavior === "collect").at(-1) || onRepeat(events)[0]?.track;

function useShelves({ userId, language, onError }) {
  const [shelves, setShelves] = useState({ repeat: [] });
  useEffect(() => {
    let isCurrent = true;
    const show = (change) => isCurrent && setShelves((before) => ({ ...before, ...change }));
    const fresh = () => api.recommend(userId, RADIO, language, { discovery: 1, limit: NEW_SHOWN }).then((answer) => show({ fresh: answer }));
    const because = async () => {
      const profile = await api.listener(userId);
      const events = api.known(profile.events);
      show({ isOwnCatalog: profile.is_own_catalog, repeat: onRepeat(events) });
      const seed = seedOf(events);
      if (seed) show({ seed, because: await api.similar(seed.track_id, userId, language, NEW_SHOWN) });
      if (!profile.is_own_catalog) await fresh();
    };
    const playlists = () => api.recommend(userId, "playlists", language, { limit: 8 }).then((answer) => show({ playlists: answer }));
    // Scenes of tracks that have no place of their own on the page.
    const others = async () => {
      const names = (await api.scenes()).filter((scene) => scene.target_type === "track" && !PLACED_SCENES.has(scene.name)).map((scene) => scene.name);
      show({ others: await Promise.all(names.map((name) => api.recommend(userId, name, language))) });
    };
    // One after the other, so that the list of the day and covers are not delayed.
    because().then(playlists).then(others).catch(onError);
    return () => (isCurrent = false);
  }, [userId, language]);
  return shelves;
}

function TrackTiles({ tracks, answer, scene, sub }) {
  const { texts, playList, isVisible } = useSession();
  const shownOf = (place) => (answer ? { request_id: answer.request_id, position: place, scene } : {});
  return tracks.map((track, place) => isVisible(track) && html`<${Tile} key=${track.track_id} tracks=${[track]} title=${track.title || track.track_id}
    sub=${sub?.(place) || track.artists.join(", ")} playLabel=${`${texts.play} ${track.title}`} onPlay=${() => playList(tracks, place, shownOf)} />`);
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
  const session = useSession();
  const { userId, language, texts, exclusions, onError } = session;
  const { repeat, isOwnCatalog, fresh, seed, because, playlists, others } = useShelves({ userId, language, onError });
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    daily(userId, language, exclusions).then((next) => isCurrent && setAnswer(next), onError);
    return () => (isCurrent = false);
  }, [userId, language, exclusions]);
  return html`<div class="home">
    <h1 class="greeting">${greeting(texts)}</h1>
    ${answer ? html`<${Daily} answer=${answer} onWhy=${onWhy} />` : html`<div class="daily is-loading" aria-busy="true"><div class="hero"><span class="cover"></span></div><${LoadingRows} count=${SHOWN} /></div>`}
    ${repeat.length > 1 && html`<${Shelf} id="repeat" title=${texts.onRepeat}>
      <${TrackTiles} tracks=${repeat.map((one) => one.track)} sub=${(place) => repeat[place].track.artists[0]} /></${Shelf}>`}
    ${because?.items.length > 0 && html`<${Shelf} id="because" title=${format(texts.becauseYouLike, { title: seed.title })}
      more=${html`<a class="link" href=${address("track", seed.track_id)}>${texts.seeAll}</a>`}>
      <${TrackTiles} tracks=${because.items} answer=${because} scene="similar" /></${Shelf}>`}
    ${isOwnCatalog && html`<section class="shelf" aria-labelledby="fresh"><header><h2 id="fresh">${texts.newForYou}</h2></header><p class="notice">${texts.ownCatalog}</p></section>`}
    ${fresh?.items.length > 0 && html`<${Shelf} id="fresh" title=${texts.newForYou} sub=${texts.newForYouHint}><${TrackTiles} tracks=${fresh.items} answer=${fresh} scene=${RADIO} /></${Shelf}>`}
    ${playlists?.items.length > 0 && html`<${Shelf} id="playlists" title=${texts.playlistsForYou} more=${html`<a class="link" href=${address("playlists")}>${texts.seeAll}</a>`}>
      <${CollectionTiles} answer=${playlists} kind="playlist" /></${Shelf}>`}
    ${others?.map((found) => found.items.length > 0 && html`<${Shelf} key=${found.scene} id=${found.scene} title=${texts.scenes[found.scene] || found.scene}>
      <${TrackTiles} tracks=${found.items} answer=${found} scene=${found.scene} /></${Shelf}>`)}
  </div>`;
}

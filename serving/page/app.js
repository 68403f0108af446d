// Listening page: recommendations of one listener, feedback on them, and the next response.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { Collections, idOf } from "./collections.js";
import { html } from "./html.js";
import { format, LANGUAGES, preferred } from "./messages.js";
import { Player } from "./player.js";
import { Search } from "./search.js";
import { Songs } from "./songs.js";
import { State } from "./state.js";
import { Welcome } from "./welcome.js";

const SCENES = await api.scenes();
const REQUESTED_USER = new URLSearchParams(location.search).get("user") || "";

function Balance({ value, texts, onChange }) {
  return html`<fieldset class="balance">
    <legend>${texts.balance}</legend>
    <label class="slider">
      <span>${texts.repeat}</span>
      <input type="range" min="0" max="1" step="0.1" value=${value === null ? 0.3 : value}
        aria-label=${`${texts.repeat} – ${texts.discover}`} onChange=${(event) => onChange(Number(event.target.value))} />
      <span>${texts.discover}</span>
    </label>
    <label><input type="checkbox" checked=${value === null} onChange=${() => onChange(value === null ? 0.3 : null)} /> ${texts.automatic}</label>
  </fieldset>`;
}

const keyOf = (item) => item.track_id || idOf(item);

function Listening({ userId, language, texts, onError }) {
  const [scene, setScene] = useState(SCENES[0].name);
  const [discovery, setDiscovery] = useState(null);
  const [answer, setAnswer] = useState(null);
  const [before, setBefore] = useState(null);
  const [state, setState] = useState(null);
  const [playing, setPlaying] = useState(null);
  const { target_type: targetType, is_stream: isStream } = SCENES.find((one) => one.name === scene);
  const holdsTracks = targetType !== "track";
  const latest = useRef({});
  latest.current.scene = scene;

  // Requests a response and shows it, unless a later request was sent in the meantime.
  async function refresh(isNext) {
    const number = (latest.current.number || 0) + 1;
    latest.current.number = number;
    const [next, known] = await Promise.all([
      api.recommend(userId, scene, holdsTracks ? null : discovery, language),
      api.listener(userId),
    ]);
    if (number === latest.current.number) {
      setBefore(isNext && answer ? new Set(answer.items.map(keyOf)) : null);
      setAnswer({ ...next, scene });
      setState(known);
    }
    return next;
  }
  useEffect(() => {
    setAnswer(null);
    setPlaying(null);
    refresh(false).catch(onError);
  }, [scene, discovery]);
  useEffect(() => {
    if (answer) refresh(false).catch(onError);
  }, [language]);

  const shownAs = (place) => ({ request_id: answer.request_id, position: place, scene });
  async function act(track, place, action, artist) {
    const [type, target] = artist ? ["artist", artist] : ["track", track.track_id];
    await api.report(userId, type, target, action, artist ? { scene } : shownAs(place));
    const next = await refresh(true);
    if (playing && (action === "dislike" || action === "block") && playing.track.track_id === track.track_id) start(next, 0);
  }
  async function actOn(collection, place, action) {
    await api.report(userId, targetType, idOf(collection), action, shownAs(place));
    await refresh(true);
  }
  // Plays the next song: in an open collection its next one, in a stream the first of the next response, in a list the next position.
  async function ended(playedMs) {
    const { track, place, collection, number } = playing;
    await api.report(userId, "track", track.track_id, "play", playing.shown, playedMs);
    if (collection) startIn(collection, number + 1);
    const next = await refresh(true);
    if (!collection && latest.current.scene === scene) start(next, isStream ? 0 : place + 1);
  }
  function start({ request_id, items }, place) {
    const track = items[place];
    setPlaying(track ? { track, place, shown: { request_id, position: place, scene }, key: Date.now() } : null);
  }
  // The response showed the collection, not the song: the event names the collection as context and no response.
  function startIn(collection, number) {
    const track = collection.tracks[number];
    const shown = { context_id: `${targetType}:${idOf(collection)}`, scene };
    setPlaying(track ? { track, collection, number, shown, key: Date.now() } : null);
  }
  async function open(collection, place, number = 0) {
    await api.report(userId, targetType, idOf(collection), "click", shownAs(place));
    startIn(collection, number);
    await refresh(true);
  }
  // Plays a song that was searched for: no response showed it.
  const playFound = (track) => setPlaying({ track, place: -1, isFound: true, shown: { scene }, key: Date.now() });
  const likePlaying = () =>
    playing.collection || playing.isFound
      ? api.report(userId, "track", playing.track.track_id, "like", playing.shown).then(() => refresh(true))
      : act(playing.track, playing.place, "like");
  const isHere = answer && answer.scene === scene;
  const isNew = isHere && before ? answer.items.filter((one) => !before.has(keyOf(one))).length : 0;
  const opened = playing && playing.collection ? { collection: idOf(playing.collection), number: playing.number } : null;
  return html`<div class="columns">
    <section class="list" aria-labelledby="list">
      <h2 id="list" class="visually-hidden">${texts.scenes[scene] || scene}</h2>
      <${Search} userId=${userId} language=${language} texts=${texts} onPlay=${playFound} onError=${onError} />
      <div class="tabs" role="group" aria-label=${texts.title}>
        ${SCENES.map(
          ({ name }) => html`<button type="button" key=${name} aria-pressed=${scene === name} onClick=${() => setScene(name)}>${texts.scenes[name] || name}</button>`,
        )}
      </div>
      ${!holdsTracks && html`<${Balance} value=${discovery} texts=${texts} onChange=${setDiscovery} />`}
      <div class="player" aria-label=${texts.nowPlaying} role="region">
        ${playing
          ? html`<${Player} key=${playing.key} track=${playing.track} texts=${texts}
              onEnd=${(ms) => ended(ms).catch(onError)}
              onAct=${() => likePlaying().catch(onError)} />`
          : html`<p class="hint">${holdsTracks ? texts.nothingOpen : texts.nothingPlays}</p>`}
      </div>
      <p class="changed" role="status">${isHere && before ? (isNew ? format(texts.changed, { count: isNew }) : texts.unchanged) : ""}</p>
      ${isHere && answer.degraded && html`<p class="hint" role="status" title=${Object.values(answer.degraded).join("; ")}>${texts.degraded}</p>`}
      ${isHere &&
      (holdsTracks
        ? html`<${Collections} items=${answer.items} before=${before} playing=${opened} texts=${texts}
            onOpen=${(...what) => open(...what).catch(onError)} onPlay=${(...what) => open(...what).catch(onError)}
            onAct=${(...what) => actOn(...what).catch(onError)} />`
        : html`<${Songs} items=${answer.items} before=${before} playing=${playing && playing.track.track_id} texts=${texts}
            onPlay=${(track, place) => start(answer, place)} onAct=${(...what) => act(...what).catch(onError)} />`)}
    </section>
    <aside aria-label=${texts.listener}><${State} state=${state} texts=${texts} /></aside>
  </div>`;
}

function App() {
  const [language, setLanguage] = useState(preferred());
  const [userId, setUserId] = useState(REQUESTED_USER);
  const [error, setError] = useState("");
  const texts = LANGUAGES[language];
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    localStorage.setItem("segue-language", language);
  }, [language]);
  const open = (id) => {
    setError("");
    setUserId(id);
    history.replaceState(null, "", id ? `?user=${encodeURIComponent(id)}` : ".");
  };
  const failed = (problem) => setError(problem.message || String(problem));
  return html`
    <header>
      <h1>${texts.title} <small>${texts.tagline}</small></h1>
      <nav aria-label=${texts.title}>
        ${userId && html`<span class="who">${userId}</span><button type="button" onClick=${() => open("")}>${texts.change}</button>`}
        <button type="button" lang=${language === "en" ? "zh-Hans" : "en"} onClick=${() => setLanguage(language === "en" ? "zh" : "en")}>${texts.language}</button>
        <a href="./docs">${texts.api}</a>
      </nav>
    </header>
    <main>
      ${error && html`<p class="error" role="alert">${texts[error] || error}</p>`}
      ${userId
        ? html`<${Listening} key=${userId} userId=${userId} language=${language} texts=${texts} onError=${failed} />`
        : html`<${Welcome} language=${language} texts=${texts} onStart=${open} onError=${failed} />`}
    </main>`;
}

render(html`<${App} />`, document.body);

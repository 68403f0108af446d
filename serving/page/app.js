// The listening page: a listener, their songs, what they do with them, and how the next answer changes.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { Containers, idOf, OF_SCENE } from "./containers.js";
import { html } from "./html.js";
import { Player } from "./player.js";
import { Songs } from "./songs.js";
import { State } from "./state.js";
import { Welcome } from "./welcome.js";
import { LANGUAGES, preferred } from "./words.js";

const SCENES = ["daily", "private_fm", "playlists", "mlog"];
const ASKED = new URLSearchParams(location.search).get("user") || "";

function Balance({ value, words, onChange }) {
  return html`<fieldset class="balance">
    <legend>${words.balance}</legend>
    <label class="slider">
      <span>${words.repeat}</span>
      <input type="range" min="0" max="1" step="0.1" value=${value === null ? 0.3 : value}
        aria-label=${`${words.repeat} – ${words.discover}`} onChange=${(event) => onChange(Number(event.target.value))} />
      <span>${words.discover}</span>
    </label>
    <label><input type="checkbox" checked=${value === null} onChange=${() => onChange(value === null ? 0.3 : null)} /> ${words.asFitted}</label>
  </fieldset>`;
}

const keyOf = (item) => item.track_id || idOf(item);

function Listening({ userId, language, words, onError }) {
  const [scene, setScene] = useState(SCENES[0]);
  const [discovery, setDiscovery] = useState(null);
  const [answer, setAnswer] = useState(null);
  const [before, setBefore] = useState(null);
  const [state, setState] = useState(null);
  const [playing, setPlaying] = useState(null);
  const kind = OF_SCENE[scene];
  const latest = useRef({});
  latest.current.scene = scene;

  // The answer; it is shown unless another one was asked for meanwhile.
  async function ask(isNext) {
    const number = (latest.current.number || 0) + 1;
    latest.current.number = number;
    const [next, known] = await Promise.all([
      api.recommend(userId, scene, kind ? null : discovery, language),
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
    ask(false).catch(onError);
  }, [scene, discovery]);
  useEffect(() => {
    if (answer) ask(false).catch(onError);
  }, [language]);

  const shownAs = (place) => ({ request_id: answer.request_id, position: place, scene });
  async function act(track, place, action, artist) {
    const [type, target] = artist ? ["artist", artist] : ["track", track.track_id];
    await api.report(userId, type, target, action, artist ? { scene } : shownAs(place));
    const next = await ask(true);
    if (playing && (action === "dislike" || action === "block") && playing.track.track_id === track.track_id) start(next, 0);
  }
  async function actOn(container, place, action) {
    await api.report(userId, kind, idOf(container), action, shownAs(place));
    await ask(true);
  }
  // The song that follows: in an open playlist its next one, in private FM the first of the next answer, in a list the next place.
  async function ended(playedMs) {
    const { track, place, container, number } = playing;
    await api.report(userId, "track", track.track_id, "play", playing.shown, playedMs);
    if (container) startIn(container, number + 1);
    const next = await ask(true);
    if (!container && latest.current.scene === scene) start(next, scene === "private_fm" ? 0 : place + 1);
  }
  function start({ request_id, items }, place) {
    const track = items[place];
    setPlaying(track ? { track, place, shown: { request_id, position: place, scene }, key: Date.now() } : null);
  }
  // A song of a playlist was shown by the playlist: it says where it came from, and the answer is about the playlist.
  function startIn(container, number) {
    const track = container.tracks[number];
    const shown = { context_id: `${kind}:${idOf(container)}`, scene };
    setPlaying(track ? { track, container, number, shown, key: Date.now() } : null);
  }
  async function open(container, place, number = 0) {
    await api.report(userId, kind, idOf(container), "click", shownAs(place));
    startIn(container, number);
    await ask(true);
  }
  const likePlaying = () =>
    playing.container
      ? api.report(userId, "track", playing.track.track_id, "like", playing.shown).then(() => ask(true))
      : act(playing.track, playing.place, "like");
  const isHere = answer && answer.scene === scene;
  const isNew = isHere && before ? answer.items.filter((one) => !before.has(keyOf(one))).length : 0;
  const opened = playing && playing.container ? { container: idOf(playing.container), number: playing.number } : null;
  return html`<div class="columns">
    <section class="list" aria-labelledby="list">
      <h2 id="list" class="visually-hidden">${words[scene]}</h2>
      <div class="tabs" role="group" aria-label=${words.title}>
        ${SCENES.map(
          (name) => html`<button type="button" key=${name} aria-pressed=${scene === name} onClick=${() => setScene(name)}>${words[name]}</button>`,
        )}
      </div>
      ${!kind && html`<${Balance} value=${discovery} words=${words} onChange=${setDiscovery} />`}
      <div class="player" aria-label=${words.nowPlaying} role="region">
        ${playing
          ? html`<${Player} key=${playing.key} track=${playing.track} words=${words}
              onEnd=${(ms) => ended(ms).catch(onError)}
              onAct=${() => likePlaying().catch(onError)} />`
          : html`<p class="hint">${kind ? words.nothingOpen : words.nothingPlays}</p>`}
      </div>
      <p class="changed" role="status">${isHere && before ? words.changed(isNew) : ""}</p>
      ${isHere &&
      (kind
        ? html`<${Containers} items=${answer.items} before=${before} playing=${opened} words=${words}
            onOpen=${(...what) => open(...what).catch(onError)} onPlay=${(...what) => open(...what).catch(onError)}
            onAct=${(...what) => actOn(...what).catch(onError)} />`
        : html`<${Songs} items=${answer.items} before=${before} playing=${playing && playing.track.track_id} words=${words}
            onPlay=${(track, place) => start(answer, place)} onAct=${(...what) => act(...what).catch(onError)} />`)}
    </section>
    <aside aria-label=${words.listener}><${State} state=${state} words=${words} /></aside>
  </div>`;
}

function App() {
  const [language, setLanguage] = useState(preferred());
  const [userId, setUserId] = useState(ASKED);
  const [error, setError] = useState("");
  const words = LANGUAGES[language];
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
      <h1>${words.title} <small>${words.tagline}</small></h1>
      <nav aria-label=${words.title}>
        ${userId && html`<span class="who">${userId}</span><button type="button" onClick=${() => open("")}>${words.change}</button>`}
        <button type="button" lang=${language === "en" ? "zh-Hans" : "en"} onClick=${() => setLanguage(language === "en" ? "zh" : "en")}>${words.language}</button>
        <a href="./docs">${words.api}</a>
      </nav>
    </header>
    <main>
      ${error && html`<p class="error" role="alert">${words[error] || error}</p>`}
      ${userId
        ? html`<${Listening} key=${userId} userId=${userId} language=${language} words=${words} onError=${failed} />`
        : html`<${Welcome} words=${words} onStart=${open} onError=${failed} />`}
    </main>`;
}

render(html`<${App} />`, document.body);

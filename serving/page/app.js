// The listening page: a listener, their songs, what they do with them, and how the next answer changes.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import * as api from "./api.js";
import { html } from "./html.js";
import { Player } from "./player.js";
import { Songs } from "./songs.js";
import { State } from "./state.js";
import { Welcome } from "./welcome.js";
import { LANGUAGES, preferred } from "./words.js";

const SCENES = ["daily", "private_fm"];
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

function Listening({ userId, words, onError }) {
  const [scene, setScene] = useState(SCENES[0]);
  const [discovery, setDiscovery] = useState(null);
  const [answer, setAnswer] = useState(null);
  const [before, setBefore] = useState(null);
  const [state, setState] = useState(null);
  const [playing, setPlaying] = useState(null);

  async function ask(isNext) {
    const [next, known] = await Promise.all([api.recommend(userId, scene, discovery), api.listener(userId)]);
    setBefore(isNext && answer ? new Set(answer.items.map((one) => one.track_id)) : null);
    setAnswer(next);
    setState(known);
    return next;
  }
  useEffect(() => {
    setAnswer(null);
    setPlaying(null);
    ask(false).catch(onError);
  }, [scene, discovery]);

  const shownAs = (place) => ({ request_id: answer.request_id, position: place, scene });
  async function act(track, place, action, artist) {
    const [type, target] = artist ? ["artist", artist] : ["track", track.track_id];
    await api.report(userId, type, target, action, artist ? { scene } : shownAs(place));
    const next = await ask(true);
    if (playing && (action === "dislike" || action === "block") && playing.track.track_id === track.track_id) start(next, 0);
  }
  // The song that follows: in private FM the first of the next answer, in a list the next place.
  async function ended(playedMs) {
    const { track, place } = playing;
    await api.report(userId, "track", track.track_id, "play", playing.shown, playedMs);
    const next = await ask(true);
    start(next, scene === "private_fm" ? 0 : place + 1);
  }
  function start({ request_id, items }, place) {
    const track = items[place];
    setPlaying(track ? { track, place, shown: { request_id, position: place, scene }, number: Date.now() } : null);
  }
  const isNew = answer && before ? answer.items.filter((one) => !before.has(one.track_id)).length : 0;
  return html`<div class="columns">
    <section class="list" aria-labelledby="list">
      <h2 id="list" class="visually-hidden">${words[scene]}</h2>
      <div class="tabs" role="group" aria-label=${words.title}>
        ${SCENES.map(
          (name) => html`<button type="button" key=${name} aria-pressed=${scene === name} onClick=${() => setScene(name)}>${words[name]}</button>`,
        )}
      </div>
      <${Balance} value=${discovery} words=${words} onChange=${setDiscovery} />
      <div class="player" aria-label=${words.nowPlaying} role="region">
        ${playing
          ? html`<${Player} key=${playing.number} track=${playing.track} words=${words}
              onEnd=${(ms) => ended(ms).catch(onError)}
              onAct=${(action) => act(playing.track, playing.place, action).catch(onError)} />`
          : html`<p class="hint">${words.nothingPlays}</p>`}
      </div>
      <p class="changed" role="status">${answer && before ? words.changed(isNew) : ""}</p>
      ${answer &&
      html`<${Songs} items=${answer.items} before=${before} playing=${playing && playing.track.track_id} words=${words}
        onPlay=${(track, place) => start(answer, place)} onAct=${(...what) => act(...what).catch(onError)} />`}
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
      ${error && html`<p class="error" role="alert">${error}</p>`}
      ${userId
        ? html`<${Listening} key=${userId} userId=${userId} words=${words} onError=${failed} />`
        : html`<${Welcome} words=${words} onStart=${open} onError=${failed} />`}
    </main>`;
}

render(html`<${App} />`, document.body);

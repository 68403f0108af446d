// Choice of the listener: a known one, or a new one who likes three songs first.
import * as api from "../base.js";
import { format, interestName } from "../base.js";
import { Cover, Icon, LoadingTiles, Mosaic } from "../parts.js";
import { html, useEffect, useState } from "../vendor/preact.mjs";
import { SearchField, useSearch } from "./search.js";

const REQUIRED_SONGS = 3;
const SHOWN_SONGS = 12;
const SHOWN_LISTENERS = 8;
const byNumber = new Intl.Collator(undefined, { numeric: true }).compare;

function NewListener({ language, texts, onStart, onError }) {
  const [text, setText] = useState("");
  const [picked, setPicked] = useState([]);
  const found = useSearch(text, { language, isEmptyAllowed: true, onError });
  const isPicked = (track) => picked.some((one) => one.track_id === track.track_id);
  const toggle = (track) =>
    setPicked(isPicked(track) ? picked.filter((one) => one.track_id !== track.track_id) : [...picked, track].slice(-REQUIRED_SONGS));
  const begin = async () => {
    // `crypto.randomUUID` exists in secure contexts only.
    const digits = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
    const userId = `guest-${digits.join("")}`;
    for (const track of picked) await api.report(userId, "track", track.track_id, "like");
    onStart(userId);
  };
  return html`
    <h2>${texts.start}</h2>
    <p class="hint">${texts.pick}</p>
    <${SearchField} value=${text} onInput=${setText} texts=${texts} />
    <ul class="picks">
      ${!found && html`<${LoadingTiles} />`}
      ${(found?.items || []).slice(0, SHOWN_SONGS).map((track) => html`<li key=${track.track_id}><button type="button" aria-pressed=${isPicked(track)} onClick=${() => toggle(track)}>
        <${Cover} track=${track} /><span class="tick"><${Icon} name="saved" /></span><span class="tile-title">${track.title}</span><span class="tile-sub">${track.artists.join(", ")}</span>
        ${text.trim() && track.reason && html`<span class="why-found">${track.reason}</span>`}</button></li>`)}
    </ul>
    <div class="begin"><p role="status">${format(texts.picked, { count: picked.length })}</p>
      <button type="button" class="pill main" disabled=${picked.length < REQUIRED_SONGS} onClick=${() => begin().catch(onError)}>${texts.begin}</button></div>`;
}

function ListenerCard({ userId, texts, onStart }) {
  const [profile, setProfile] = useState(null);
  useEffect(() => {
    api.listener(userId).then(setProfile, () => setProfile({ events: [], interests: [] }));
  }, [userId]);
  const taste = profile?.long_term || profile?.short_term;
  const events = api.known(profile?.events || []);
  return html`<li><button type="button" class="listener" title=${userId} onClick=${() => onStart(userId)}>
    <${Mosaic} tracks=${events.length ? events.reverse() : [{ track_id: userId }]} />
    <span class="what"><span class="tile-title">${taste ? interestName(taste.name, texts) : profile ? texts.noTaste : "…"}</span>
    <span class="tile-sub">${taste ? taste.artists.slice(0, 3).join(", ") : ""}</span></span>
  </button></li>`;
}

export function Welcome({ language, texts, onStart, onError }) {
  const [known, setKnown] = useState([]);
  const [userId, setUserId] = useState("");
  useEffect(() => {
    api.listeners().then((ids) => setKnown(ids.sort(byNumber)), onError);
  }, []);
  const open = (event) => {
    event.preventDefault();
    if (userId.trim()) onStart(userId.trim());
  };
  return html`<div class="welcome">
    <header><h1>${texts.tagline}</h1></header>
    <section class="new-listener"><${NewListener} language=${language} texts=${texts} onStart=${onStart} onError=${onError} /></section>
    <section>
      <h2>${texts.choose}</h2>
      <ul class="listeners">${known.slice(0, SHOWN_LISTENERS).map((one) => html`<${ListenerCard} key=${one} userId=${one} texts=${texts} onStart=${onStart} />`)}</ul>
      <form onSubmit=${open}>
        <label for="user">${texts.other}</label>
        <span class="field"><input id="user" value=${userId} maxlength="256" autocomplete="off" onInput=${(event) => setUserId(event.target.value)} /><button class="pill">${texts.open}</button></span>
      </form>
    </section>
  </div>`;
}

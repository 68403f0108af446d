// Choice of the listener: a known one, or a new one who likes three songs first.
import { useEffect, useState } from "preact/hooks";
import * as api from "./api.js";
import { html } from "./html.js";
import { format } from "./messages.js";
import { FoundSong, MAX_QUERY_LENGTH, useSearch } from "./search.js";

const REQUIRED_SONGS = 3;
const byNumber = new Intl.Collator(undefined, { numeric: true }).compare;

function NewListener({ language, texts, onStart, onError }) {
  const [text, setText] = useState("");
  const [picked, setPicked] = useState([]);
  const found = useSearch(text, { language, isEmptyAllowed: true, onError });
  const isPicked = (track) => picked.some((one) => one.track_id === track.track_id);
  const toggle = (track) =>
    setPicked(isPicked(track) ? picked.filter((one) => one.track_id !== track.track_id) : [...picked, track].slice(-REQUIRED_SONGS));
  const begin = async () => {
    const userId = `guest-${crypto.randomUUID()}`;
    for (const track of picked) await api.report(userId, "track", track.track_id, "like");
    onStart(userId);
  };
  return html`
    <h2>${texts.start}</h2>
    <label for="find">${texts.pick}</label>
    <input id="find" type="search" placeholder=${texts.find} value=${text} maxlength=${MAX_QUERY_LENGTH}
      onInput=${(event) => setText(event.target.value)} />
    <ul class="found">
      ${found.map(
        (track) => html`<${FoundSong} key=${track.track_id} track=${track} isReasonShown=${Boolean(text.trim())}
          aria-pressed=${isPicked(track)} onClick=${() => toggle(track)} />`,
      )}
    </ul>
    <p role="status">${format(texts.picked, { count: picked.length })}${picked.length > 0 && `: ${picked.map((one) => one.title).join(", ")}`}</p>
    <button type="button" class="main" disabled=${picked.length < REQUIRED_SONGS}
      onClick=${() => begin().catch(onError)}>${texts.begin}</button>`;
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
    <section>
      <h2>${texts.choose}</h2>
      ${known.length > 0 &&
      html`<ul class="chips">
        ${known.map(
          (one) => html`<li key=${one}><button type="button" onClick=${() => onStart(one)}>${one}</button></li>`,
        )}
      </ul>`}
      <form onSubmit=${open}>
        <label for="user">${texts.other}</label>
        <input id="user" value=${userId} maxlength="256" onInput=${(event) => setUserId(event.target.value)} />
        <button>${texts.open}</button>
      </form>
    </section>
    <section><${NewListener} language=${language} texts=${texts} onStart=${onStart} onError=${onError} /></section>
  </div>`;
}

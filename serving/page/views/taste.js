// What shapes the recommendations: interests, what does not count, and private sessions.
import { dayName, format, formatCount, interestName, timeOfDay } from "../base.js";
import { Cover, hueOf, Icon, Mosaic } from "../parts.js";
import { useSession } from "../player.js";
import { html, useEffect, useRef, useState } from "../vendor/preact.mjs";
import { Data } from "./data.js";

const US_PER_MS = 1000;

function PrivateCard() {
  const { taste, texts, language, setPrivate } = useSession();
  const session = taste.private_session;
  const isOn = session !== null;
  const text = isOn ? format(texts.privateOn, { time: timeOfDay(session.until_us / US_PER_MS, language) }) : texts.privateOff;
  return html`<section class=${`private-card ${isOn ? "is-on" : ""}`} aria-labelledby="private">
    <span class="private-mark" aria-hidden="true"><${Icon} name="private" /></span>
    <div><h2 id="private">${texts.privateSession}</h2><p id="private-text">${text}</p></div>
    <button type="button" class="switch" role="switch" aria-checked=${isOn} aria-labelledby="private" aria-describedby="private-text" onClick=${() => setPrivate(!isOn)}><span></span></button>
  </section>`;
}

function NameForm({ interest, onDone }) {
  const { texts, interestTitle, renameInterest } = useSession();
  const [name, setName] = useState(interestTitle(interest));
  const input = useRef(null);
  useEffect(() => input.current.select(), []);
  const onSubmit = (event) => {
    event.preventDefault();
    onDone();
    if (name.trim() !== interestTitle(interest)) renameInterest(interest, name);
  };
  const onKey = (event) => event.key === "Escape" && onDone();
  return html`<form class="name-form" onSubmit=${onSubmit}>
    <input ref=${input} value=${name} maxlength="60" aria-label=${texts.newName} onInput=${(event) => setName(event.target.value)} onKeyDown=${onKey} />
    <button type="submit" class="pill main">${texts.save}</button>
    <button type="button" class="pill" onClick=${onDone}>${texts.cancel}</button>
  </form>`;
}

function InterestCard({ interest }) {
  const { texts, interestTitle, pauseInterest, resumeInterest, removeInterest } = useSession();
  const [isRenaming, setRenaming] = useState(false);
  const { is_paused: isPaused, tracks } = interest;
  const title = interestTitle(interest);
  const percent = Math.max(Math.round(interest.share * 100), 1);
  const artists = [...new Set(tracks.flatMap((track) => track.artists))].slice(0, 3).join(", ");
  const action = (icon, text, act) => html`<button type="button" class="pill" aria-label=${`${text}: ${title}`} onClick=${act}><${Icon} name=${icon} />${text}</button>`;
  return html`<li class=${`interest ${isPaused ? "is-paused" : ""}`} style=${`--hue:${hueOf(tracks[0])};--share:${interest.share}`}>
    <${Mosaic} tracks=${tracks} />
    <div class="interest-text">
      ${isRenaming ? html`<${NameForm} interest=${interest} onDone=${() => setRenaming(false)} />` : html`<h3>${title}</h3>`}
      ${interest.name && html`<p class="hint">${interestName(interest.interest_id, texts)}</p>`}
      <p class="hint artists">${artists}</p>
      ${isPaused ? html`<p class="badge">${texts.paused}</p>` : html`<div class="share-line"><span class="share-bar"><i></i></span><span>${format(texts.shareOfListening, { share: percent })}</span></div>`}
    </div>
    ${!isRenaming && html`<div class="buttons">
      ${isPaused ? action("resume", texts.resumeInterest, () => resumeInterest(interest)) : action("suspend", texts.pauseInterest, () => pauseInterest(interest))}
      ${action("rename", texts.rename, () => setRenaming(true))}
      ${!isPaused && action("close", texts.forgetInterest, () => removeInterest(interest))}
    </div>`}
  </li>`;
}

function LeftOut() {
  const { taste, texts, language, countAgain } = useSession();
  if (!taste.left_out.length) return html`<p class="taste-empty"><${Icon} name="leave" />${texts.nothingLeftOut}</p>`;
  const nameOf = (one) => one.name || (one.target_type === "interest" ? interestName(one.target_id, texts) : one.target_id);
  return html`<ul class="left-out">
    ${taste.left_out.map((one) => {
      const day = dayName(one.at / US_PER_MS, language);
      const since = format(one.action === "reset" ? texts.removedAt : texts.sinceDay, { day: day.toLowerCase() });
      return html`<li key=${`${one.target_type}:${one.target_id}`}>
        ${one.tracks.length ? html`<${Cover} track=${one.tracks[0]} />` : html`<span class="avatar"><${Icon} name="leave" /></span>`}
        <div class="what"><p class="title">${nameOf(one)}</p>
          <p class="sub">${texts[one.target_type]} · ${formatCount(texts, "songCount", one.track_count)} · ${since}</p></div>
        <button type="button" class="pill" aria-label=${`${texts.countAgain}: ${nameOf(one)}`} onClick=${() => countAgain(one.action, one.target_type, one.target_id, nameOf(one))}>${texts.countAgain}</button>
      </li>`;
    })}
  </ul>`;
}

export function Taste({ isDeveloper, onDeveloper }) {
  const { taste, isTasteLoaded, refresh, texts, onError } = useSession();
  useEffect(() => {
    if (isTasteLoaded) refresh().catch(onError); // what was played since
  }, []);
  return html`<div class="taste"><h1>${texts.taste}</h1><p class="hint">${texts.tasteHint}</p>
    <${PrivateCard} />
    <h2>${texts.yourInterests}</h2><p class="hint">${texts.yourInterestsHint}</p>
    ${isTasteLoaded && !taste.interests.length && html`<p class="taste-empty"><${Icon} name="taste" />${texts.noInterests}</p>`}
    <ul class="interests">${taste.interests.map((interest) => html`<${InterestCard} key=${interest.interest_id} interest=${interest} />`)}</ul>
    <h2>${texts.leftOut}</h2><p class="hint">${texts.leftOutHint}</p>
    <${LeftOut} />
    <${Data} isDeveloper=${isDeveloper} onDeveloper=${onDeveloper} />
  </div>`;
}

// Radio: an endless stream that follows every play, skip and like.
import * as api from "../base.js";
import { sentence } from "../base.js";
import { UpNext } from "../drawers.js";
import { Cover, hueOf, Icon } from "../parts.js";
import { Artists, LikeButton, PlayButton, Position, Rows } from "../player_view.js";
import { RADIO, useSession } from "../player.js";
import { html, useEffect, useState } from "../vendor/preact.mjs";

const SHOWN = 8;

function Balance() {
  const { discovery, setDiscovery, texts } = useSession();
  return html`<fieldset class="balance">
    <legend>${texts.balance}</legend>
    <div class="slider">
      <span>${texts.repeat}</span>
      <input type="range" min="0" max="1" step="0.1" value=${discovery === null ? 0.3 : discovery} style=${`--part:${discovery === null ? 0.3 : discovery}`}
        aria-label=${`${texts.repeat} – ${texts.discover}`} onChange=${(event) => setDiscovery(Number(event.target.value))} />
      <span>${texts.discover}</span>
    </div>
    <label><input type="checkbox" checked=${discovery === null} onChange=${() => setDiscovery(discovery === null ? 0.3 : null)} /> ${texts.automatic}</label>
  </fieldset>`;
}

export function Radio({ onWhy }) {
  const session = useSession();
  const { userId, language, texts, queue, discovery, playRadio, next, dislike, onError } = session;
  const isOn = queue.current?.kind === "radio";
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    if (isOn) return undefined;
    let isCurrent = true;
    api.recommend(userId, RADIO, language, { discovery, limit: SHOWN }).then((found) => isCurrent && setAnswer(found), onError);
    return () => (isCurrent = false);
  }, [isOn, discovery, language, userId]);
  const track = isOn ? queue.current.track : answer?.items[0];
  const shown = isOn ? queue.current.shown : { request_id: answer?.request_id, position: 0, scene: RADIO };
  const shownOf = (position) => ({ request_id: answer.request_id, position, scene: RADIO });
  return html`<div class="radio" style=${`--hue:${hueOf(track)}`}>
    <h1>${texts.radio}</h1>
    <p class="hint">${texts.radioHint}</p>
    <div class="radio-columns">
      <section class="stage" aria-label=${texts.radioNow}>
        ${track && html`
          <${Cover} track=${track} class="is-large" />
          <p class="title">${track.title || track.track_id}</p>
          <p class="sub"><${Artists} track=${track} /></p>
          ${track.reason && html`<button type="button" class="reason-button" onClick=${() => onWhy(track, shown)}>${sentence(track.reason)}</button>`}
          ${isOn && html`<${Position} />`}
          <div class="buttons">
            ${isOn && html`<button type="button" class="round" aria-label=${`${texts.dislike}: ${track.title}`} title=${texts.dislike} onClick=${() => dislike(track, shown)}><${Icon} name="hide" /></button>`}
            ${isOn ? html`<${PlayButton} class="is-big" />` : html`<button type="button" class="round main is-big" aria-label=${texts.startRadio} onClick=${() => playRadio(answer)}><${Icon} name="play" /></button>`}
            ${isOn && html`<button type="button" class="round" aria-label=${texts.skip} onClick=${next}><${Icon} name="next" /></button>`}
            <${LikeButton} track=${track} shown=${shown} class="round" />
          </div>`}
        ${answer && !track && html`<p class="hint">${texts.noRelease}</p>`}
        <${Balance} />
      </section>
      <section aria-labelledby="up-next"><h2 id="up-next">${texts.upNext}</h2>
        ${isOn ? html`<${UpNext} />` : answer && html`<${Rows} tracks=${answer.items} shownOf=${shownOf} onWhy=${onWhy} onPlay=${(place) => playRadio(answer, place)} />`}
      </section>
    </div>
  </div>`;
}

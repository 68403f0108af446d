// What the listener is, beside the songs: the behaviour sequence, and the interests that are read from it.
import { html } from "./html.js";

function Sequence({ events, words }) {
  const shown = events.slice(-50);
  return html`
    <h2>${words.sequence}</h2>
    <p class="hint">${words.sequenceHint}</p>
    <ol class="sequence">
      ${shown.map((event, place) => {
        const begins = place > 0 && shown[place - 1].session !== event.session;
        const said = `${event.title || event.track_id}: ${words.behaviour[event.behaviour] || event.behaviour}`;
        return html`<li class=${`${event.behaviour} ${begins ? "begins" : ""}`} title=${said} key=${place}>
          <span class="visually-hidden">${said}</span>
        </li>`;
      })}
    </ol>
    <ul class="legend" aria-hidden="true">
      ${legend(shown, words).map(
        (name) => html`<li key=${name}><i class=${name}></i>${words.behaviour[name] || name}</li>`,
      )}
    </ul>`;
}

function Term({ title, taste }) {
  return html`<div class="term">
    <h3>${title}</h3>
    <p><strong>${taste.name}</strong></p>
    <p class="hint">${taste.artists.join(", ")}</p>
  </div>`;
}

// In the order of `words`, whatever happened first.
const legend = (shown, words) => {
  const there = new Set(shown.map((event) => event.behaviour));
  return [...new Set([...Object.keys(words.behaviour), ...there])].filter((name) => there.has(name));
};

export function State({ state, words }) {
  if (!state) return null;
  if (!state.events.length && !state.long_term) return html`<p class="hint">${words.nothingYet}</p>`;
  return html`
    <${Sequence} events=${state.events} words=${words} />
    ${state.interests.length > 0 &&
    html`<h2>${words.interests}</h2>
      <ul class="chips">
        ${state.interests.map(
          (one, place) => html`<li key=${place} title=${one.titles.join(" · ")}>
            ${one.name} <span class="share">${Math.round(one.share * 100)}%</span>
          </li>`,
        )}
      </ul>`}
    <div class="terms">
      ${state.short_term && html`<${Term} title=${words.shortTerm} taste=${state.short_term} />`}
      ${state.long_term && html`<${Term} title=${words.longTerm} taste=${state.long_term} />`}
    </div>`;
}

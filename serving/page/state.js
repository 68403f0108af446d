// State of the listener as the models see it: recent behaviors, and interests derived from them.
import { html } from "./html.js";
import { interestName } from "./messages.js";

function Sequence({ events, texts }) {
  const shown = events.slice(-50);
  return html`
    <h2>${texts.sequence}</h2>
    <p class="hint">${texts.sequenceHint}</p>
    <ol class="sequence">
      ${shown.map((event, place) => {
        const begins = place > 0 && shown[place - 1].session !== event.session;
        const label = `${event.title || event.track_id}: ${texts.behaviours[event.behaviour] || event.behaviour}`;
        return html`<li class=${`${event.behaviour} ${begins ? "begins" : ""}`} title=${label} key=${place}>
          <span class="visually-hidden">${label}</span>
        </li>`;
      })}
    </ol>
    <ul class="legend" aria-hidden="true">
      ${legend(shown, texts).map(
        (name) => html`<li key=${name}><i class=${name}></i>${texts.behaviours[name] || name}</li>`,
      )}
    </ul>`;
}

function Summary({ title, interest, texts }) {
  return html`<div class="term">
    <h3>${title}</h3>
    <p><strong>${interestName(interest.name, texts)}</strong></p>
    <p class="hint">${interest.artists.join(", ")}</p>
  </div>`;
}

// Behaviors that occur, in the order of the catalog.
const legend = (shown, texts) => {
  const there = new Set(shown.map((event) => event.behaviour));
  return [...new Set([...Object.keys(texts.behaviours), ...there])].filter((name) => there.has(name));
};

export function State({ state, texts }) {
  if (!state) return null;
  if (!state.events.length && !state.long_term) return html`<p class="hint">${texts.nothingYet}</p>`;
  return html`
    <${Sequence} events=${state.events} texts=${texts} />
    ${state.interests.length > 0 &&
    html`<h2>${texts.interests}</h2>
      <ul class="chips">
        ${state.interests.map(
          (one, place) => html`<li key=${place} title=${one.titles.join(" · ")}>
            ${interestName(one.name, texts)} <span class="share">${Math.round(one.share * 100)}%</span>
          </li>`,
        )}
      </ul>`}
    <div class="terms">
      ${state.short_term && html`<${Summary} title=${texts.shortTerm} interest=${state.short_term} texts=${texts} />`}
      ${state.long_term && html`<${Summary} title=${texts.longTerm} interest=${state.long_term} texts=${texts} />`}
    </div>`;
}

// Shelves of tiles that scroll sideways, and grids of them.
import { html } from "../html.js";
import { Cover, Mosaic } from "./cover.js";
import { Icon } from "./icons.js";

export function Tile({ tracks, title, sub, isWide = false, playLabel, onPlay, href }) {
  const picture = isWide ? html`<${Cover} track=${tracks[0]} class="is-wide" />` : html`<${Mosaic} tracks=${tracks} />`;
  const texts = html`<span class="tile-title">${title}</span>${sub && html`<span class="tile-sub">${sub}</span>`}`;
  return html`<li class="tile">
    ${href ? html`<a href=${href}>${picture}${texts}</a>` : html`<button type="button" class="tile-body" aria-label=${playLabel} onClick=${onPlay}>${picture}${texts}</button>`}
    ${href && html`<button type="button" class="round tile-play" aria-label=${playLabel} onClick=${onPlay}><${Icon} name="play" /></button>`}
    ${!href && html`<span class="round tile-play" aria-hidden="true"><${Icon} name="play" /></span>`}
  </li>`;
}

export function Shelf({ id, title, sub, more, children }) {
  return html`<section class="shelf" aria-labelledby=${id}>
    <header><h2 id=${id}>${title}</h2>${more}${sub && html`<p class="hint">${sub}</p>`}</header>
    <ul class="tiles" tabindex="0" aria-labelledby=${id}>${children}</ul>
  </section>`;
}

// Placeholders of rows and tiles until an answer arrives.
import { html } from "../html.js";

const times = (count, one) => Array.from({ length: count }, (_, place) => one(place));

export const LoadingRows = ({ count = 8 }) => html`<ul class="placeholders" aria-hidden="true">${times(count, (place) => html`<li key=${place}>
  <span class="cover"></span><span><i></i><i></i></span></li>`)}</ul>`;

// Items of a list of tiles.
export const LoadingTiles = ({ count = 12, isWide = false }) => times(count, (place) => html`<li class="placeholder" key=${place} aria-hidden="true">
  <span class=${`cover ${isWide ? "is-wide" : ""}`}></span><i></i></li>`);

// Covers: the picture of a track, or one drawn from its facets until there is one.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";

// The service renders covers on demand, and a browser has few connections to a host: other requests must not wait for covers.
const MAX_LOADING = 3;
const LOAD_MARGIN = "300px";

const loaded = new Set();
const waiting = [];
let loading = 0;

function loadNext() {
  if (loading >= MAX_LOADING || !waiting.length) return;
  const { url, onLoad } = waiting.shift();
  const image = new Image();
  const done = () => {
    loading -= 1;
    loadNext();
  };
  loading += 1;
  image.onload = () => {
    loaded.add(url);
    onLoad();
    done();
  };
  image.onerror = done;
  image.src = url;
}

const seen =
  "IntersectionObserver" in window
    ? new IntersectionObserver(
        (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => entry.target.onSeen?.()),
        { rootMargin: LOAD_MARGIN },
      )
    : { observe: (element) => element.onSeen?.(), unobserve: () => {} };

// Whether the picture is loaded; it is requested once the element is near the visible part of the page.
function useLoaded(url, element) {
  const [isLoaded, setLoaded] = useState(loaded.has(url));
  useEffect(() => {
    setLoaded(loaded.has(url));
    if (!url || loaded.has(url)) return undefined;
    const node = element.current;
    const one = { url, onLoad: () => setLoaded(true) };
    node.onSeen = () => {
      seen.unobserve(node);
      waiting.push(one);
      loadNext();
    };
    seen.observe(node);
    return () => {
      seen.unobserve(node);
      const place = waiting.indexOf(one);
      if (place >= 0) waiting.splice(place, 1);
    };
  }, [url]);
  return isLoaded;
}

export function hash(text) {
  let value = 2166136261;
  for (let place = 0; place < text.length; place += 1) value = Math.imul(value ^ text.charCodeAt(place), 16777619);
  return value >>> 0;
}

// Hue of a track, 0..360: tracks with the same facets have the same one.
export const hueOf = (track) => hash((track?.facets || []).slice(0, 2).join("·") || track?.track_id || "") % 360;

const SHAPES = [
  (n) => html`<circle cx=${30 + (n % 40)} cy=${35 + (n % 30)} r=${22 + (n % 16)} class="a" /><circle cx=${62 - (n % 20)} cy=${62} r=${14 + (n % 9)} class="b" />`,
  (n) => html`<path d=${`M0 ${55 + (n % 20)}C25 ${30 + (n % 30)} 60 ${85 - (n % 30)} 100 ${45 + (n % 25)}V100H0z`} class="a" /><circle cx=${25 + (n % 50)} cy=${28} r=${11 + (n % 7)} class="b" />`,
  (n) => html`<g transform=${`rotate(${n % 90} 50 50)`}><rect x="-20" y=${20 + (n % 20)} width="140" height="18" class="a" /><rect x="-20" y=${58 + (n % 15)} width="140" height="9" class="b" /></g>`,
  (n) => html`<circle cx="50" cy="50" r=${40 + (n % 8)} class="a" /><circle cx="50" cy="50" r=${27 + (n % 6)} class="base" /><circle cx="50" cy="50" r=${12 + (n % 6)} class="b" />`,
];

function Drawing({ id, hue }) {
  const number = hash(id || "");
  const shape = SHAPES[number % SHAPES.length](number >>> 3);
  return html`<svg class="drawing" viewBox="0 0 100 100" preserveAspectRatio="xMidYMid slice" style=${`--hue:${hue};--other:${(hue + 40 + (number % 60)) % 360}`}>
    <rect width="100" height="100" class="base" />${shape}
  </svg>`;
}

// Square picture of a track. It says nothing that the text beside it does not say.
export function Cover({ track, class: name = "" }) {
  const element = useRef(null);
  const url = track?.cover_url;
  const isLoaded = useLoaded(url, element);
  return html`<span class=${`cover ${name}`} ref=${element} aria-hidden="true">
    ${url && isLoaded ? html`<img src=${url} alt="" decoding="async" />` : html`<${Drawing} id=${track?.track_id} hue=${hueOf(track)} />`}
  </span>`;
}

// Four covers as one picture; one, if there are not four different ones.
export function Mosaic({ tracks, class: name = "" }) {
  const distinct = [...new Map(tracks.map((track) => [track.cover_url || track.track_id, track])).values()].slice(0, 4);
  if (distinct.length < 4) return html`<${Cover} track=${distinct[0]} class=${name} />`;
  return html`<span class=${`mosaic ${name}`} aria-hidden="true">${distinct.map((track) => html`<${Cover} key=${track.track_id} track=${track} />`)}</span>`;
}

// Parts of the page that know nothing of the listener: icons, covers, tiles, menus, drawers, messages, placeholders.
import { html, useEffect, useRef, useState } from "./vendor/preact.mjs";

// ---- Icons, drawn on a grid of 24 with lines of the text's color.

const LINES = {
  home: "M4 11l8-7 8 7v8a1 1 0 0 1-1 1h-4v-6H9v6H5a1 1 0 0 1-1-1z",
  radio: "M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M12 12h.01",
  playlists: "M4 6h11M4 11h11M4 16h6M18.5 17V8l2.5 1M18.5 17a2 2 0 1 1-4 0 2 2 0 0 1 4 0z",
  heart: "M12 20S4 14.9 4 9.3A4.3 4.3 0 0 1 12 7a4.3 4.3 0 0 1 8 2.3C20 14.9 12 20 12 20z",
  history: "M4 12a8 8 0 1 0 2.6-5.9M4 4v4h4M12 8v4.5l3 1.8",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5",
  next: "M6 5l9 7-9 7zM18 5v14",
  previous: "M18 5l-9 7 9 7zM6 5v14",
  queue: "M4 6h16M4 11h16M4 16h9M17 14v6M14 17h6",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  save: "M12 5v14M5 12h14",
  saved: "M5 12.5l4.5 4.5L19 7.5",
  hide: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM6.5 6.5l11 11",
  info: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 11v5M12 8h.01",
  close: "M6 6l12 12M18 6L6 18",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  developer: "M8 7l-5 5 5 5M16 7l5 5-5 5M13.5 5l-3 14",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20a7.5 7.5 0 0 1 15 0",
  back: "M15 5l-7 7 7 7",
  similar: "M8 16a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM16 18a5 5 0 1 0 0-10",
  path: "M5 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM19 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7 17h7a3 3 0 0 0 3-3V9",
  taste: "M4 7h8M18 7h2M4 17h2M12 17h8M15 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM9 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  private: "M4 4l16 16M9.5 5.6A9.6 9.6 0 0 1 12 5.3c5 0 8 4.4 9 6.7a14 14 0 0 1-2.6 3.7M6.2 7.4A14 14 0 0 0 3 12c1 2.3 4 6.7 9 6.7a9 9 0 0 0 4-.9M10 10a2.8 2.8 0 0 0 4 4",
  rename: "M4 20l1-4.5L16 4.5l3.5 3.5L8.5 19zM13.5 7l3.5 3.5",
  suspend: "M8 6v12M16 6v12",
  resume: "M8 6l10 6-10 6z",
  leave: "M4 6h11M4 11h7M4 16h6M15 14l5 5M20 14l-5 5",
  count: "M4 6h11M4 11h7M4 16h6M14 17l2.5 2.5L21 14",
  download: "M12 4v11M7.5 10.5L12 15l4.5-4.5M5 19.5h14",
  erase: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.3 10.5v6M13.7 10.5v6",
  down: "M6 9l6 6 6-6",
  volume: "M4 10v4h3l5 4V6L7 10zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  repeat: "M5 11V9a2 2 0 0 1 2-2h11M15.5 4.5L18 7l-2.5 2.5M19 13v2a2 2 0 0 1-2 2H6M8.5 19.5L6 17l2.5-2.5",
  once: "M5 11V9a2 2 0 0 1 2-2h11M15.5 4.5L18 7l-2.5 2.5M19 13v2a2 2 0 0 1-2 2H6M8.5 19.5L6 17l2.5-2.5M11 11l1.3-.8v4.3",
  album: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 13.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z",
  less: "M8 5v9l4 6 1-.5v-5.5h5.5l1-1.2L17.5 5zM4.5 5v9",
  shuffle: "M4 7h3.5l9 10H20M4 17h3.5l2.5-2.8M14 9.5L16.5 7H20M17.5 4.5L20 7l-2.5 2.5M17.5 14.5L20 17l-2.5 2.5",
};
const SOLID = {
  play: "M8 5.2v13.6a.6.6 0 0 0 .9.5l11-6.8a.6.6 0 0 0 0-1l-11-6.8a.6.6 0 0 0-.9.5z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  liked: LINES.heart,
};

export function Icon({ name }) {
  const kind = name in SOLID ? "is-solid" : name === "more" || name === "grip" ? "is-dots" : "";
  return html`<svg class=${`icon ${kind}`} viewBox="0 0 24 24" aria-hidden="true"><path d=${SOLID[name] || LINES[name]} /></svg>`;
}

// ---- Covers: the picture of a track, or one drawn from its facets until there is one.

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

// ---- Placeholders of rows and tiles until an answer arrives.

const times = (count, one) => Array.from({ length: count }, (_, place) => one(place));

export const LoadingRows = ({ count = 8 }) => html`<ul class="placeholders" aria-hidden="true">${times(count, (place) => html`<li key=${place}>
  <span class="cover"></span><span><i></i><i></i></span></li>`)}</ul>`;

// Items of a list of tiles.
export const LoadingTiles = ({ count = 12 }) => times(count, (place) => html`<li class="placeholder" key=${place} aria-hidden="true">
  <span class="cover"></span><i></i></li>`);

// ---- Menu behind a button with three dots; closes on a choice, on Escape and on a click elsewhere.

const BARS_HEIGHT = 150; // of the player and the tabs
const MIN_MENU_HEIGHT = 160;

export function Menu({ label, items }) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef(null);
  const button = useRef(null);
  const close = () => setOpen(false);
  useEffect(() => {
    if (!isOpen) return undefined;
    const onPointer = (event) => root.current.contains(event.target) || close();
    const onKey = (event) => {
      if (event.key === "Escape") {
        close();
        button.current.focus();
      }
      const all = [...root.current.querySelectorAll("[role=menuitem]")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
    };
    const list = root.current.querySelector(".menu");
    // Opens where there is more room, and scrolls if there is not enough.
    const { top, bottom } = button.current.getBoundingClientRect();
    const below = window.innerHeight - bottom - BARS_HEIGHT;
    const isUp = list.offsetHeight > below && top > below;
    list.classList.toggle("is-up", isUp);
    list.style.maxHeight = `${Math.max(isUp ? top : below, MIN_MENU_HEIGHT)}px`;
    root.current.querySelector("[role=menuitem]").focus();
    document.addEventListener("pointerdown", onPointer);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", onPointer);
      document.removeEventListener("keydown", onKey);
    };
  }, [isOpen]);
  const choose = (item) => () => {
    close();
    item.act?.();
  };
  return html`<div class="menu-of" ref=${root}>
    <button type="button" class="plain" ref=${button} aria-label=${label} aria-haspopup="menu" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>
      <${Icon} name="more" />
    </button>
    ${isOpen &&
    html`<ul class="menu" role="menu" aria-label=${label}>
      ${items.map((item) => html`<li role="none" key=${item.text}>${item.href
        ? html`<a role="menuitem" tabindex="-1" href=${item.href} target=${item.target} rel=${item.target && "noreferrer"} onClick=${choose(item)}><${Icon} name=${item.icon} />${item.text}</a>`
        : html`<button type="button" role="menuitem" tabindex="-1" onClick=${choose(item)}><${Icon} name=${item.icon} />${item.text}</button>`}
      </li>`)}
    </ul>`}
  </div>`;
}

// ---- Shelves of tiles that scroll sideways, and grids of them.

export function Tile({ id, tracks, title, sub, playLabel, onPlay, href }) {
  const picture = html`<${Mosaic} tracks=${tracks} />`;
  const texts = html`<span class="tile-title">${title}</span>${sub && html`<span class="tile-sub">${sub}</span>`}`;
  return html`<li class="tile" data-id=${id}>
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

// ---- Short messages at the bottom, with one action at most.

const SHOWN_MS = 8_000;
let number = 0;

// `[toasts, toast]`: what is shown, and a function that shows a text.
export function useToasts() {
  const [shown, setShown] = useState([]);
  const close = (key) => setShown((all) => all.filter((one) => one.key !== key));
  const toast = (text, action, act) => {
    number += 1;
    const key = number;
    setShown((all) => [...all.slice(-2), { key, text, action, act }]);
    setTimeout(() => close(key), SHOWN_MS);
  };
  return [{ shown, close }, toast];
}

export function Toasts({ toasts }) {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.shown.map(
      (one) => html`<div class="toast" key=${one.key}><span>${one.text}</span>${one.action &&
        html`<button type="button" onClick=${() => {
          toasts.close(one.key);
          one.act();
        }}>${one.action}</button>`}</div>`,
    )}
  </div>`;
}

// ---- Panel at the side, on a phone from the bottom; Escape closes it, and the focus goes back to where it was.

export function Drawer({ title, closeLabel, onClose, class: name = "", children }) {
  const root = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    root.current.focus();
    const onKey = (event) => event.key === "Escape" && !event.defaultPrevented && !document.querySelector(".menu") && onClose();
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("keydown", onKey);
      before?.focus?.();
    };
  }, []);
  return html`<aside class=${`drawer ${name}`} role="dialog" aria-label=${title} tabindex="-1" ref=${root}>
    <header><h2>${title}</h2><button type="button" class="plain" aria-label=${closeLabel} onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class="drawer-body">${children}</div>
  </aside>`;
}


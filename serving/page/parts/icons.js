// Icons, drawn on a grid of 24 with lines of the text's color.
import { html } from "../html.js";

const LINES = {
  home: "M4 11l8-7 8 7v8a1 1 0 0 1-1 1h-4v-6H9v6H5a1 1 0 0 1-1-1z",
  radio: "M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M12 12h.01",
  playlists: "M4 6h11M4 11h11M4 16h6M18.5 17V8l2.5 1M18.5 17a2 2 0 1 1-4 0 2 2 0 0 1 4 0z",
  videos: "M4 6h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1zM15 10.5l6-3v9l-6-3z",
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

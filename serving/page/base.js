// What every part of the page uses: requests to the service, texts, and addresses of views. Independent of the display.
import { useEffect, useState } from "./vendor/preact.mjs";

const API_KEY = "segue-api-key";
const FILES = new URL(".", import.meta.url); // of this version of the page

// ---- Requests

// `message` is the error of the service, or a key of the page's texts.
export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

// Without a body: GET.
async function send(path, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const key = sessionStorage.getItem(API_KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(`./${path}`, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  } catch {
    throw new ApiError("unreachable");
  }
  if (response.status === 401) {
    const texts = await load(preferred());
    const entered = window.prompt(texts.apiKey);
    if (entered) {
      sessionStorage.setItem(API_KEY, entered.trim());
      return send(path, body);
    }
  }
  const answer = await response.json().catch(() => ({}));
  // `detail` comes from an RFC 9457 problem.
  if (!response.ok) throw new ApiError(answer.detail || `${path}: ${response.status}`, response.status);
  return answer;
}

// The service accepts names and queries up to this length; JavaScript counts some characters twice.
export const MAX_TEXT_LENGTH = 200;
const cut = (text) => [...text].slice(0, MAX_TEXT_LENGTH).join("");
// The fields that have a value.
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value?.length || typeof value === "number"));

export const scenes = async () => (await fetch(new URL("scenes.json", FILES))).json();
export const listeners = () => send("listeners", { limit: 20 }).then((answer) => answer.user_ids);
export const listener = (userId) => send("listener", { user_id: userId });
export const library = (userId) => send("library", { user_id: userId });
export const tasteOf = (userId) => send("taste", { user_id: userId });
export const exportData = (userId) => send("export", { user_id: userId });
export const eraseData = (userId) => send("erase", { user_id: userId, confirm: userId });
export const explain = (userId, trackId, scene, language) => send("explain", { user_id: userId, track_id: trackId, language, ...given({ scene }) });
export const search = (query, language, userId, limit = 20) => send("search", { query: cut(query), language, limit, ...given({ user_id: userId }) });
export const path = (from, to, userId, language) => send("path", { from, to, language, user_id: userId });

// A track, or an artist, an album or a playlist with its tracks.
export const entry = (kind, id) => send(`${kind}s/${encodeURIComponent(id)}`);

// Tracks that continue others or a title, or that are similar to one track.
export const continuation = (seeds, userId, language, { title = "", limit = 20, exclude = [], negative = [] } = {}) =>
  send("recommend", { seeds, limit, language, user_id: userId, ...given({ title: cut(title), exclude, negative_seeds: negative }) });
export const similar = (trackId, userId, language, { limit = 20, exclude = [], negative = [] } = {}) =>
  send("similar", { track_id: trackId, limit, language, user_id: userId, ...given({ exclude, negative_seeds: negative }) });

// A release without playlists responds with 404: an empty list.
export async function recommend(userId, scene, language, { discovery, limit, exclude } = {}) {
  try {
    return { ...(await send("recommend", { user_id: userId, scene, language, ...given({ discovery, limit, exclude }) })), scene };
  } catch (error) {
    if (error.status === 404) return { request_id: "", items: [], scene };
    throw error;
  }
}

// Events about tracks that the release in service has; the others have no id.
export const known = (events) => events.filter((event) => event.track_id);

// Reports one event; `shown` names the response that led to it and the position in it.
export async function report(userId, targetType, targetId, action, shown = {}, playedMs = undefined) {
  const event = { user_id: userId, target_type: targetType, target_id: targetId, action, device: "page", ...shown };
  if (action === "play") event.played_ms = Math.round(playedMs);
  const { rejected } = await send("events", { events: [event] });
  if (rejected.length) throw new ApiError(rejected[0].reason);
}

// ---- Texts, from the message catalogs that the service renders reasons with

const loading = {};
const asTexts = ({ page, behaviors, scenes, channels, tasks, facets }) => ({ ...page, behaviors, scenes, channels, tasks, facets });

export const NAMES = ["en", "zh"];
export const LANGUAGES = {};

// Loads the catalog of a language once.
export function load(language) {
  loading[language] ??= fetch(new URL(`messages/${language}.json`, FILES))
    .then((answer) => answer.json())
    .then((catalog) => (LANGUAGES[language] = asTexts(catalog)));
  return loading[language];
}

export function preferred() {
  const stored = localStorage.getItem("segue-language");
  return NAMES.includes(stored) ? stored : navigator.language.startsWith("zh") ? "zh" : "en";
}

export const localeOf = (language) => (language === "zh" ? "zh-Hans" : "en");

// Fills in placeholders.
export const format = (text, parameters) => text.replace(/\{(\w+)\}/g, (_, name) => parameters[name]);

// A text with a number; in English one has a form of its own (`<key>_1`).
export const formatCount = (texts, key, count) => format((count === 1 && texts[`${key}_1`]) || texts[key], { count });

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const facetName = (facet, texts) => texts.facets[facet] || facet;

// An interest is named by facet values, which have a name in each language, or by artists.
export const interestName = (name, texts) => name.split(" · ").map((part) => facetName(part, texts)).join(" · ");

export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// "30 songs · 1 h 42 min"; `count` if the tracks are the first of more.
export function summary(tracks, texts, count = tracks.length) {
  const minutes = Math.round(tracks.reduce((sum, track) => sum + (track.duration_ms || 0), 0) / 60_000);
  const hours = Math.floor(minutes / 60);
  const songs = formatCount(texts, "songCount", count);
  if (!minutes || count > tracks.length) return songs;
  return `${songs} · ${hours ? format(texts.hoursMinutes, { hours, minutes: minutes % 60 }) : format(texts.minutes, { minutes })}`;
}

const DAY_MS = 86_400_000;
const midnight = (time) => new Date(time).setHours(0, 0, 0, 0);

// "Today", "Yesterday", "Monday", "3 May"; times are in ms since 1970.
export function dayName(time, language) {
  const days = Math.round((midnight(Date.now()) - midnight(time)) / DAY_MS);
  const locale = localeOf(language);
  if (days < 2) return sentence(new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-days, "day"));
  const isThisYear = new Date(time).getFullYear() === new Date().getFullYear();
  const parts = days < 7 ? { weekday: "long" } : { day: "numeric", month: "long", ...(isThisYear ? {} : { year: "numeric" }) };
  return new Intl.DateTimeFormat(locale, parts).format(time);
}

export const timeOfDay = (time, language) => new Intl.DateTimeFormat(localeOf(language), { hour: "numeric", minute: "2-digit" }).format(time);

// ---- Addresses: a view and its parameters after "#"

// A part that is not percent-encoded, such as one that was typed, is taken as it is.
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const read = () => location.hash.replace(/^#\/?/, "").split("/").map(decode);

export const address = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

// Changes the address of the view that is open, so that a reload shows the same.
export const keepAddress = (...parts) => history.replaceState(null, "", address(...parts));

export function useRoute() {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const onChange = () => {
      setRoute(read());
      window.scrollTo(0, 0);
    };
    window.addEventListener("hashchange", onChange);
    return () => window.removeEventListener("hashchange", onChange);
  }, []);
  return route;
}

// The answer to a request that is sent again when one of `parts` changes; null until there is one, and again when the first changes.
export function useAnswer(ask, parts, onError) {
  const [answer, setAnswer] = useState({});
  useEffect(() => {
    let isCurrent = true;
    Promise.resolve(ask()).then((value) => isCurrent && setAnswer({ of: parts[0], value }), (error) => isCurrent && onError(error));
    return () => (isCurrent = false);
  }, parts);
  return answer.of === parts[0] ? answer.value ?? null : null;
}

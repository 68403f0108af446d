// Client of the recommender's HTTP API. Independent of the display.

import { load, preferred } from "./messages.js";

const KEY = "segue-api-key";

// `message` is the error of the service, or a key of the page's texts.
export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(`./${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new ApiError("unreachable");
  }
  if (response.status === 401) {
    const texts = await load(preferred());
    const given = window.prompt(texts.apiKey);
    if (given) {
      sessionStorage.setItem(KEY, given.trim());
      return post(path, body);
    }
  }
  const answer = await response.json().catch(() => ({}));
  // `detail` comes from an RFC 9457 problem.
  if (!response.ok) throw new ApiError(answer.error || answer.detail || `${path}: ${response.status}`, response.status);
  return answer;
}

// The service accepts names and queries up to this length; JavaScript counts some characters twice.
export const MAX_TEXT_LENGTH = 200;
const cut = (text) => [...text].slice(0, MAX_TEXT_LENGTH).join("");

const withUser = (userId) => (userId ? { user_id: userId } : {});

export const scenes = async () => (await fetch("./page/scenes.json")).json();

export const listeners = () => post("listeners", { limit: 20 }).then((answer) => answer.user_ids);
export const listener = (userId) => post("listener", { user_id: userId });
// Events about tracks that the release in service has; the others have no id.
export const known = (events) => events.filter((event) => event.track_id);
export const library = (userId) => post("library", { user_id: userId });
export const taste = (userId) => post("taste", { user_id: userId });
export const exportData = (userId) => post("export", { user_id: userId });
export const eraseData = (userId) => post("erase", { user_id: userId, confirm: userId });
export const explain = (userId, trackId, scene, language) =>
  post("explain", { user_id: userId, track_id: trackId, language, ...(scene ? { scene } : {}) });
export const search = (query, language, userId = null, limit = 20) =>
  post("search", { query: cut(query), language, limit, ...withUser(userId) });
export const similar = (trackId, userId, language, limit = 20) =>
  post("similar", { track_id: trackId, limit, language, user_id: userId });
export const path = (from, to, userId, language) => post("path", { from, to, language, user_id: userId });
export const continuation = (seeds, title, userId, language, limit = 20) =>
  post("recommend", { seeds, title: cut(title), limit, language, user_id: userId });

// A release without playlists or mlogs responds with 404: an empty list.
export async function recommend(userId, scene, language, { discovery = null, limit = null, exclude = [] } = {}) {
  const body = { user_id: userId, scene, language };
  if (discovery !== null) body.discovery = discovery;
  if (limit !== null) body.limit = limit;
  if (exclude.length) body.exclude = exclude;
  try {
    return { ...(await post("recommend", body)), scene };
  } catch (error) {
    if (error.status === 404) return { request_id: "", items: [], scene };
    throw error;
  }
}

// Reports one event; `shown` names the response that led to it and the position in it.
export async function report(userId, targetType, targetId, action, shown = {}, playedMs = undefined) {
  const event = { user_id: userId, target_type: targetType, target_id: targetId, action, device: "page", ...shown };
  if (action === "play") event.played_ms = Math.round(playedMs);
  const { rejected } = await post("events", { events: [event] });
  if (rejected.length) throw new ApiError(rejected[0].reason);
}

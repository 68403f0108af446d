// Client of the recommender's HTTP API. Knows nothing about the display.

import { LANGUAGES, preferred } from "./messages.js";

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
    const texts = LANGUAGES[preferred()];
    const given = window.prompt(texts.apiKey);
    if (given) {
      sessionStorage.setItem(KEY, given.trim());
      return post(path, body);
    }
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(answer.error || `${path}: ${response.status}`, response.status);
  return answer;
}

export async function scenes() {
  return (await fetch("./page/scenes.json")).json();
}

export const listeners = () => post("listeners", { limit: 20 }).then((answer) => answer.user_ids);
export const listener = (userId) => post("listener", { user_id: userId });
export const search = (query, language, userId = null) =>
  post("search", { query, language, limit: 12, ...(userId ? { user_id: userId } : {}) }).then((answer) => answer.items);

// A release without playlists or mlogs responds with 404: an empty list.
export async function recommend(userId, scene, discovery, language) {
  const body = { user_id: userId, scene, language, ...(discovery === null ? {} : { discovery }) };
  try {
    return await post("recommend", body);
  } catch (error) {
    if (error.status === 404) return { request_id: "", items: [] };
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

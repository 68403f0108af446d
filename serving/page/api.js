// The recommender's HTTP API as the page needs it. Knows nothing about what is shown.

const KEY = "segue-api-key";

// `message` is what the service said, or a word of words.js.
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
    const given = window.prompt("API key of this service / 此服务的 API 密钥:");
    if (given) {
      sessionStorage.setItem(KEY, given.trim());
      return post(path, body);
    }
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(answer.error || `${path}: ${response.status}`, response.status);
  return answer;
}

export const listeners = () => post("listeners", { limit: 20 }).then((answer) => answer.user_ids);
export const listener = (userId) => post("listener", { user_id: userId });
export const search = (words) => post("search", { words, limit: 12 }).then((answer) => answer.items);

// A release without playlists or mlogs answers 404: there are none then.
export async function recommend(userId, scene, discovery, language) {
  const asked = { user_id: userId, scene, language, ...(discovery === null ? {} : { discovery }) };
  try {
    return await post("recommend", asked);
  } catch (error) {
    if (error.status === 404) return { request_id: "", items: [] };
    throw error;
  }
}

// One thing that the listener did; `shown` says which answer led to it, and at which place.
export async function report(userId, targetType, targetId, action, shown = {}, playedMs = undefined) {
  const event = { user_id: userId, target_type: targetType, target_id: targetId, action, device: "page", ...shown };
  if (action === "play") event.played_ms = Math.round(playedMs);
  const { rejected } = await post("events", { events: [event] });
  if (rejected.length) throw new ApiError(rejected[0].reason);
}

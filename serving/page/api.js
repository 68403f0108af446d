// The recommender's HTTP API as the page needs it. Knows nothing about what is shown.

const KEY = "segue-api-key";

export class ApiError extends Error {}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(`./${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new ApiError("The recommender does not answer. Is it running? Start it with: make serve");
  }
  if (response.status === 401) {
    const given = window.prompt("API key of this service:");
    if (given) {
      sessionStorage.setItem(KEY, given.trim());
      return post(path, body);
    }
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(answer.error || `${path}: ${response.status}`);
  return answer;
}

export const listeners = () => post("listeners", { limit: 50 }).then((answer) => answer.user_ids);
export const listener = (userId) => post("listener", { user_id: userId });
export const search = (words) => post("search", { words, limit: 12 }).then((answer) => answer.items);

export function recommend(userId, scene, discovery) {
  return post("recommend", { user_id: userId, scene, ...(discovery === null ? {} : { discovery }) });
}

// One thing that the listener did; `shown` says which answer led to it, and at which place.
export async function report(userId, targetType, targetId, action, shown = {}, playedMs = undefined) {
  const event = { user_id: userId, target_type: targetType, target_id: targetId, action, device: "page", ...shown };
  if (action === "play") event.played_ms = Math.round(playedMs);
  const { rejected } = await post("events", { events: [event] });
  if (rejected.length) throw new ApiError(rejected[0].reason);
}

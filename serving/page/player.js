// A song that is heard where the catalogue has an address of it, and otherwise plays on a simulated clock: time passes.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";

export const SPEED = 20;
const TICK_MS = 250;
const UNKNOWN_MS = 210_000;

const durationOf = (track) => track.duration_ms || UNKNOWN_MS;

// Where a song can be heard: over https, or from this host; null otherwise.
function addressOf(track) {
  if (!track.audio_url) return null;
  const url = new URL(track.audio_url, document.baseURI);
  return url.protocol === "https:" || url.origin === location.origin ? url.href : null;
}

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// `onEnd(playedMs)` is called once, when the song is over or skipped.
export function Player({ track, words, onEnd, onAct }) {
  const [playedMs, setPlayedMs] = useState(0);
  const [isPaused, setPaused] = useState(false);
  const ended = useRef(false);
  const audio = useRef(null);
  const [address, setAddress] = useState(() => addressOf(track));
  const [whole, setWhole] = useState(durationOf(track));
  const cannotBeHeard = () => {
    setAddress(null);
    setWhole(durationOf(track));
  };
  const end = (ms) => {
    if (ended.current) return;
    ended.current = true;
    onEnd(ms);
  };
  useEffect(() => {
    const heard = audio.current;
    if (heard && isPaused) heard.pause();
    // A browser that plays nothing without a click leaves the song paused; a song that is gone is nobody's fault.
    else if (heard) heard.play().catch((error) => (error.name === "NotAllowedError" ? setPaused(true) : null));
    if (heard) return () => heard.pause();
    if (isPaused) return undefined;
    const timer = setInterval(() => setPlayedMs((ms) => Math.min(ms + TICK_MS * SPEED, whole)), TICK_MS);
    return () => clearInterval(timer);
  }, [isPaused, address]);
  useEffect(() => {
    if (!address && playedMs >= whole) end(whole);
  }, [playedMs, address]);
  useEffect(() => {
    const onKey = (event) => {
      if (event.target.closest("input, textarea, button, summary, a") || event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.key === " ") setPaused((paused) => !paused);
      else if (event.key === "ArrowRight") end(playedMs);
      else if (event.key === "l") onAct("like");
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
  return html`
    <p class="playing"><strong>${track.title || track.track_id}</strong> <span class="artists">${track.artists.join(", ")}</span></p>
    ${address &&
    html`<audio ref=${audio} src=${address} preload="auto" onError=${cannotBeHeard} onEnded=${() => end(whole)}
      onDurationChange=${({ target }) => Number.isFinite(target.duration) && setWhole(Math.round(target.duration * 1000))}
      onTimeUpdate=${({ target }) => setPlayedMs(Math.round(target.currentTime * 1000))}></audio>`}
    <progress value=${playedMs} max=${whole} aria-label=${words.nowPlaying}></progress>
    <p class="hint">${clock(playedMs)} / ${clock(whole)}${!address && ` · ${words.simulated(SPEED)}`}</p>
    <div class="buttons">
      <button type="button" onClick=${() => setPaused(!isPaused)}>${isPaused ? words.play : words.pause}</button>
      <button type="button" onClick=${() => end(playedMs)}>${words.skip}</button>
      <button type="button" onClick=${() => onAct("like")}>${words.like}</button>
    </div>`;
}

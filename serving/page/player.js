// A song that plays on a simulated clock: nobody owns the recordings, so what is heard is the time that passes.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";

export const SPEED = 20;
const TICK_MS = 250;
const UNKNOWN_MS = 210_000;

const durationOf = (track) => track.duration_ms || UNKNOWN_MS;

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// `onEnd(playedMs)` is called once, when the song is over or skipped.
export function Player({ track, words, onEnd, onAct }) {
  const [playedMs, setPlayedMs] = useState(0);
  const [isPaused, setPaused] = useState(false);
  const ended = useRef(false);
  const whole = durationOf(track);
  const end = (ms) => {
    if (ended.current) return;
    ended.current = true;
    onEnd(ms);
  };
  useEffect(() => {
    if (isPaused) return undefined;
    const timer = setInterval(() => setPlayedMs((ms) => Math.min(ms + TICK_MS * SPEED, whole)), TICK_MS);
    return () => clearInterval(timer);
  }, [isPaused]);
  useEffect(() => {
    if (playedMs >= whole) end(whole);
  }, [playedMs]);
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
    <progress value=${playedMs} max=${whole} aria-label=${words.nowPlaying}></progress>
    <p class="hint">${clock(playedMs)} / ${clock(whole)} · ${words.simulated(SPEED)}</p>
    <div class="buttons">
      <button type="button" onClick=${() => setPaused(!isPaused)}>${isPaused ? words.play : words.pause}</button>
      <button type="button" onClick=${() => end(playedMs)}>${words.skip}</button>
      <button type="button" onClick=${() => onAct("like")}>${words.like}</button>
    </div>`;
}

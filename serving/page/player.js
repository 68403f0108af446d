// Player of one song: its audio if there is a URL, otherwise a simulated clock.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { format } from "./messages.js";

export const SPEED = 20;
const TICK_MS = 250;
const UNKNOWN_MS = 210_000;

// Audio shorter than this share of the song is a preview, which stands for the song: half of it played is half the song.
const PREVIEW_SHARE = 0.5;

const durationOf = (track) => track.duration_ms || UNKNOWN_MS;

// URL of the audio, over https or from this host; null otherwise.
function addressOf(track) {
  if (!track.audio_url) return null;
  const url = new URL(track.audio_url, document.baseURI);
  return url.protocol === "https:" || url.origin === location.origin ? url.href : null;
}

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// Calls `onEnd(playedMs)` once, when the song ends or is skipped.
export function Player({ track, texts, onEnd, onAct }) {
  const [playedMs, setPlayedMs] = useState(0);
  const [isPaused, setPaused] = useState(false);
  const ended = useRef(false);
  const audio = useRef(null);
  const [address, setAddress] = useState(() => addressOf(track));
  const [whole, setWhole] = useState(durationOf(track));
  const isPreview = address !== null && whole < PREVIEW_SHARE * track.duration_ms;
  const onAudioError = () => {
    setAddress(null);
    setWhole(durationOf(track));
  };
  const end = (ms) => {
    if (ended.current) return;
    ended.current = true;
    onEnd(isPreview ? Math.round((ms / whole) * track.duration_ms) : ms);
  };
  useEffect(() => {
    const element = audio.current;
    if (element && isPaused) element.pause();
    // Browsers that block autoplay leave the song paused. Other failures are handled by onError.
    else if (element) element.play().catch((error) => (error.name === "NotAllowedError" ? setPaused(true) : null));
    if (element) return () => element.pause();
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
    ${track.cover_url && html`<img class="cover" src=${track.cover_url} alt="" onError=${({ target }) => (target.hidden = true)} />`}
    <p class="playing"><strong>${track.title || track.track_id}</strong> <span class="artists">${track.artists.join(", ")}</span></p>
    ${address &&
    html`<audio ref=${audio} src=${address} preload="auto" onError=${onAudioError} onEnded=${() => end(whole)}
      onDurationChange=${({ target }) => Number.isFinite(target.duration) && setWhole(Math.round(target.duration * 1000))}
      onTimeUpdate=${({ target }) => setPlayedMs(Math.round(target.currentTime * 1000))}></audio>`}
    <progress value=${playedMs} max=${whole} aria-label=${texts.nowPlaying}></progress>
    <p class="hint">${clock(playedMs)} / ${clock(whole)}${!address && ` · ${format(texts.simulated, { speed: SPEED })}`}${isPreview && ` · ${texts.preview}`}</p>
    <div class="buttons">
      <button type="button" onClick=${() => setPaused(!isPaused)}>${isPaused ? texts.play : texts.pause}</button>
      <button type="button" onClick=${() => end(playedMs)}>${texts.skip}</button>
      <button type="button" onClick=${() => onAct("like")}>${texts.like}</button>
    </div>`;
}

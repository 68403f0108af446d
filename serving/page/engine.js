// Plays the audio of one track; a track without audio stays silent until another one is loaded. Independent of the queue.
import { useEffect, useState } from "./vendor/preact.mjs";

// Audio shorter than this share of the song is a preview.
const PREVIEW_SHARE = 0.5;

// A preview counts as the whole song if at least this share of it was heard, the `full_play_ratio` of dbt; otherwise only the
// time heard counts, so that a skip stays a skip.
const FULL_PLAY_SHARE = 0.9;

// Longest time between two ticks that counts as listening; a longer one is a seek.
const MAX_TICK_MS = 2_000;

// URL of the audio, over https or from this host; null otherwise.
function addressOf(track) {
  if (!track.audio_url) return null;
  const url = new URL(track.audio_url, document.baseURI);
  return url.protocol === "https:" || url.origin === location.origin ? url.href : null;
}

const VOLUME = "segue-volume";

// `kind`: "audio", "preview", "missing" (no URL, or it cannot be played), or "none" without a track.
const EMPTY = { track: null, positionMs: 0, wholeMs: 0, isPaused: true, kind: "none" };

export class Engine {
  #listeners = new Set();
  #audio = null;
  #listenedMs = 0;
  onEnd = () => {};
  state = EMPTY;
  volume = Number(localStorage.getItem(VOLUME) ?? 1);

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #set(change) {
    this.state = { ...this.state, ...change };
    this.#listeners.forEach((listener) => listener(this.state));
  }

  // Starts a track, or shows it paused at a position; calls `onEnd(playedMs)` when it is played to its end.
  load(track, pausedAtMs = null) {
    this.stop();
    this.#listenedMs = 0;
    const address = addressOf(track);
    const isPaused = !address || pausedAtMs !== null;
    this.#set({ track, positionMs: pausedAtMs || 0, wholeMs: track.duration_ms || 0, isPaused, kind: address ? "audio" : "missing" });
    if (address) this.#loadAudio(track, address, pausedAtMs);
  }

  #loadAudio(track, address, pausedAtMs) {
    const audio = new Audio();
    this.#audio = audio;
    const isCurrent = () => this.#audio === audio;
    audio.preload = pausedAtMs === null ? "auto" : "metadata";
    audio.volume = this.volume;
    audio.ondurationchange = () => {
      if (!isCurrent() || !Number.isFinite(audio.duration)) return;
      const wholeMs = Math.round(audio.duration * 1000);
      this.#set({ wholeMs, kind: wholeMs < PREVIEW_SHARE * track.duration_ms ? "preview" : "audio" });
    };
    audio.ontimeupdate = () => isCurrent() && this.#advance(Math.round(audio.currentTime * 1000));
    audio.onended = () => isCurrent() && this.#end();
    audio.onerror = () => {
      if (!isCurrent()) return;
      this.#audio = null;
      this.#set({ kind: "missing", isPaused: true });
    };
    audio.src = address;
    if (pausedAtMs !== null) {
      audio.onloadedmetadata = () => (audio.currentTime = pausedAtMs / 1000);
      return;
    }
    // Browsers that block autoplay leave the song paused. Other failures are handled by onerror.
    audio.play().catch((error) => error.name === "NotAllowedError" && isCurrent() && this.#set({ isPaused: true }));
  }

  #advance(positionMs) {
    const delta = positionMs - this.state.positionMs;
    if (delta > 0 && delta < MAX_TICK_MS) this.#listenedMs += delta;
    this.#set({ positionMs });
  }

  #end() {
    this.#advance(this.state.wholeMs);
    const playedMs = this.playedMs;
    this.stop();
    this.onEnd(playedMs);
  }

  // The time heard in ms; for a preview heard to its end, the length of the song. Null if there was nothing to hear.
  get playedMs() {
    const { track, wholeMs, kind } = this.state;
    if (kind === "missing" && !this.#listenedMs) return null;
    if (!track) return 0;
    const isWhole = kind === "preview" && this.#listenedMs >= FULL_PLAY_SHARE * wholeMs;
    return isWhole && track.duration_ms ? track.duration_ms : Math.round(Math.min(this.#listenedMs, wholeMs || Infinity));
  }

  toggle() {
    if (!this.#audio) return;
    const { isPaused } = this.state;
    this.#set({ isPaused: !isPaused });
    if (isPaused) this.#audio.play().catch(() => this.#set({ isPaused: true }));
    else this.#audio.pause();
  }

  seek(positionMs) {
    if (!this.#audio) return;
    this.#set({ positionMs });
    this.#audio.currentTime = positionMs / 1000;
  }

  setVolume(volume) {
    this.volume = volume;
    localStorage.setItem(VOLUME, volume);
    if (this.#audio) this.#audio.volume = volume;
    this.#set({}); // renders the slider again
  }

  stop() {
    this.#audio?.pause();
    this.#audio = null;
    this.#set(EMPTY);
  }
}

// State of the player; renders again whenever it changes.
export function usePlayback(engine) {
  const [state, setState] = useState(engine.state);
  useEffect(() => {
    setState(engine.state);
    return engine.subscribe(setState);
  }, [engine]);
  return state;
}

// Plays one track: its audio if there is a URL, otherwise a short piece that stands for the song. Independent of the queue.
import { compose, SYNTH_MS } from "./synth.js";

const TICK_MS = 250;

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

const EMPTY = { track: null, positionMs: 0, wholeMs: 0, isPaused: true, kind: "none" };

export class Engine {
  #listeners = new Set();
  #audio = null;
  #timer = 0;
  #context = null;
  #source = null;
  #listenedMs = 0;
  onEnd = () => {};
  state = EMPTY;

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #set(change) {
    this.state = { ...this.state, ...change };
    this.#listeners.forEach((listener) => listener(this.state));
  }

  // Starts a track; calls `onEnd(playedMs)` when it is played to its end.
  load(track) {
    this.stop();
    this.#listenedMs = 0;
    const address = addressOf(track);
    this.#set({ track, positionMs: 0, wholeMs: track.duration_ms || SYNTH_MS, isPaused: false, kind: address ? "audio" : "synth" });
    if (address) this.#loadAudio(track, address);
    else this.#loadSynth(track);
  }

  #loadAudio(track, address) {
    const audio = new Audio();
    this.#audio = audio;
    const isCurrent = () => this.#audio === audio;
    audio.preload = "auto";
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
      this.#loadSynth(track);
    };
    audio.src = address;
    // Browsers that block autoplay leave the song paused. Other failures are handled by onerror.
    audio.play().catch((error) => error.name === "NotAllowedError" && isCurrent() && this.#set({ isPaused: true }));
  }

  #loadSynth(track) {
    this.#set({ kind: "synth", positionMs: 0, wholeMs: SYNTH_MS });
    if (!this.state.isPaused) this.#startClock();
    compose(track).then(
      (buffer) => {
        if (this.state.track !== track || this.state.kind !== "synth") return;
        this.buffer = buffer;
        if (!this.state.isPaused) this.#startSound();
      },
      () => {}, // a browser without WebAudio plays silence
    );
  }

  #startClock() {
    let before = performance.now();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#advance(Math.min(this.state.positionMs + now - before, this.state.wholeMs));
      before = now;
      if (this.state.positionMs >= this.state.wholeMs) this.#end();
    }, TICK_MS);
  }

  #startSound() {
    this.#stopSound();
    if (!this.buffer) return;
    this.#context ??= new AudioContext();
    this.#context.resume();
    this.#source = new AudioBufferSourceNode(this.#context, { buffer: this.buffer });
    this.#source.connect(this.#context.destination);
    this.#source.start(0, this.state.positionMs / 1000);
  }

  #stopSound() {
    this.#source?.stop();
    this.#source = null;
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

  // The time heard in ms; for a preview heard to its end, the length of the song.
  get playedMs() {
    const { track, wholeMs, kind } = this.state;
    if (!track) return 0;
    const isShort = kind === "preview" || kind === "synth";
    const isWhole = isShort && this.#listenedMs >= FULL_PLAY_SHARE * wholeMs;
    return isWhole && track.duration_ms ? track.duration_ms : Math.round(Math.min(this.#listenedMs, wholeMs || Infinity));
  }

  toggle() {
    const { track, isPaused, kind } = this.state;
    if (!track) return;
    this.#set({ isPaused: !isPaused });
    if (this.#audio) {
      if (isPaused) this.#audio.play().catch(() => this.#set({ isPaused: true }));
      else this.#audio.pause();
    } else if (kind === "synth") {
      if (isPaused) {
        this.#startClock();
        this.#startSound();
      } else {
        clearInterval(this.#timer);
        this.#stopSound();
      }
    }
  }

  seek(positionMs) {
    this.#set({ positionMs });
    if (this.#audio) this.#audio.currentTime = positionMs / 1000;
    else if (!this.state.isPaused) this.#startSound();
  }

  stop() {
    clearInterval(this.#timer);
    this.#stopSound();
    this.#audio?.pause();
    this.#audio = null;
    this.buffer = null;
    this.#set(EMPTY);
  }
}

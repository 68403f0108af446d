// The player at the bottom: what plays, its position, and the controls; on a phone one line above the tabs.
import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { clock } from "../messages.js";
import { Cover } from "../parts/cover.js";
import { Icon } from "../parts/icons.js";
import { Artists, LikeButton, TrackMenu } from "../parts/rows.js";
import { externalAddress } from "../route.js";
import { usePlayback, useSession } from "./session.js";

// Space: play or pause; right arrow: next; l: like. In fields and on buttons keys keep their meaning.
function useKeys({ engine, queue, next, toggleLike }) {
  useEffect(() => {
    const onKey = (event) => {
      if (event.target.closest?.("input, textarea, button, a, [role=dialog]") || event.metaKey || event.ctrlKey || event.altKey) return;
      if (!queue.current) return;
      if (event.key === " ") engine.toggle();
      else if (event.key === "ArrowRight") next();
      else if (event.key === "l") toggleLike(queue.current.track, queue.current.shown);
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
}

// Keys and lock screens of the system show and control the track, where the browser offers it.
function useMediaSession(session, track) {
  useEffect(() => {
    const system = navigator.mediaSession;
    if (!system || !track) return;
    const artwork = track.cover_url ? [{ src: new URL(track.cover_url, document.baseURI).href }] : [];
    system.metadata = new MediaMetadata({ title: track.title, artist: track.artists.join(", "), artwork });
    system.setActionHandler("nexttrack", session.next);
    system.setActionHandler("previoustrack", session.previous);
  }, [track?.track_id]);
}

// Says that a song has no audio, with a link to look for it elsewhere.
function NoAudio({ track, texts }) {
  const address = externalAddress(track);
  return html`<p class="no-audio" role="status">${texts.noAudio} ${address && html`<a href=${address} target="_blank" rel="noreferrer">${texts.findElsewhere}</a>`}</p>`;
}

export function Position({ engine, texts }) {
  const { track, positionMs, wholeMs, kind } = usePlayback(engine);
  if (kind === "missing") return html`<${NoAudio} track=${track} texts=${texts} />`;
  return html`<div class="position">
    <span class="clock">${clock(positionMs)}</span>
    <input type="range" min="0" max=${Math.max(wholeMs, 1)} step="100" value=${positionMs} aria-label=${texts.seek}
      aria-valuetext=${`${clock(positionMs)} / ${clock(wholeMs)}`} style=${`--part:${wholeMs ? positionMs / wholeMs : 0}`}
      onInput=${(event) => engine.seek(Number(event.target.value))} />
    <span class="clock">${clock(wholeMs)}</span>
    ${kind === "preview" && html`<span class="badge" title=${texts.previewHint}>${texts.preview}</span>`}
  </div>`;
}

export function PlayButton({ class: name = "" }) {
  const { engine, texts } = useSession();
  const { isPaused, kind } = usePlayback(engine);
  return html`<button type="button" class=${`round main ${name}`} disabled=${kind === "missing"} aria-label=${isPaused ? texts.play : texts.pause} onClick=${() => engine.toggle()}>
    <${Icon} name=${isPaused ? "play" : "pause"} /></button>`;
}

export function PlayerBar({ isQueueOpen, onQueue, onWhy }) {
  const session = useSession();
  const { queue, texts, engine, next, previous } = session;
  const { current, upcoming } = queue;
  const track = current?.track;
  useKeys(session);
  useMediaSession(session, track);
  return html`<section class=${`player ${track ? "" : "is-empty"}`} aria-label=${texts.nowPlaying}>
    ${!track && html`<p class="hint">${texts.nothingPlays}</p>`}
    ${track &&
    html`<div class="now">
      <${Cover} track=${track} />
      <div class="what"><p class="title">${track.title || track.track_id}</p><p class="sub"><${Artists} track=${track} /></p></div>
      <${LikeButton} track=${track} shown=${current.shown} />
    </div>
    <div class="controls">
      <div class="buttons">
        <button type="button" class="plain previous" aria-label=${texts.previous} onClick=${previous}><${Icon} name="previous" /></button>
        <${PlayButton} />
        <button type="button" class="plain next" aria-label=${texts.next} onClick=${next}><${Icon} name="next" /></button>
      </div>
      <${Position} engine=${engine} texts=${texts} />
    </div>`}
    <div class="extras">
      ${track && html`<${TrackMenu} track=${track} shown=${current.shown} onWhy=${() => onWhy(track, current.shown)} />`}
      <button type="button" class="plain queue-button" aria-pressed=${isQueueOpen} aria-label=${texts.queue} onClick=${onQueue}>
        <${Icon} name="queue" />${upcoming.length > 0 && html`<span class="count">${upcoming.length}</span>`}
      </button>
    </div>
  </section>`;
}

// Rows of tracks, and the player: the bar at the bottom, and the full view of what plays.
import { address, clock, format, sentence } from "./base.js";
import { usePlayback } from "./engine.js";
import { Cover, Drawer, hueOf, Icon, Menu } from "./parts.js";
import { useSession } from "./player.js";
import { html, useEffect } from "./vendor/preact.mjs";

// ---- Rows

// Where a listener finds a song outside of Segue: its own URL, or a search of the web for its title and artists.
function externalAddress(track) {
  if (track.audio_url?.startsWith("https:")) return track.audio_url;
  const words = [track.title, ...track.artists].filter(Boolean).join(" ");
  return words && `https://duckduckgo.com/?q=${encodeURIComponent(words)}`;
}

export function Artists({ track }) {
  const names = track.artists;
  if (!names.length) return null;
  return html`<span class="artists">${names.map((name, place) => html`${place > 0 && ", "}${track.artist_ids?.[place]
    ? html`<a href=${address("artist", track.artist_ids[place])}>${name}</a>`
    : name}`)}</span>`;
}

export function LikeButton({ track, shown, class: name = "" }) {
  const { has, toggleLike, texts } = useSession();
  const isLiked = has("liked", "track", track.track_id);
  return html`<button type="button" class=${`plain like ${name}`} aria-pressed=${isLiked} aria-label=${`${texts.like}: ${track.title || track.track_id}`}
    title=${isLiked ? texts.unlike : texts.like} onClick=${() => toggleLike(track, shown)}><${Icon} name=${isLiked ? "liked" : "heart"} /></button>`;
}

// Everything that can be done with a track.
export function TrackMenu({ track, shown, onWhy }) {
  const { has, addToQueue, playNext, toggleSave, dislike, lessLike, block, trackTarget, isLeftOut, leaveOut, countAgain, texts } = useSession();
  const isSaved = has("collected", "track", track.track_id);
  const album = track.album || texts.thisAlbum;
  const isAlbumOut = track.album_id && isLeftOut("album", track.album_id);
  const artists = (track.artist_ids || []).map((id, place) => ({ id, name: track.artists[place] || id }));
  const items = [
    onWhy && { icon: "info", text: texts.why, act: onWhy },
    { icon: "next", text: texts.playNext, act: () => playNext(track, shown) },
    { icon: "queue", text: texts.addToQueue, act: () => addToQueue(track, shown) },
    { icon: isSaved ? "saved" : "save", text: isSaved ? texts.uncollect : texts.collect, act: () => toggleSave(trackTarget(track), shown) },
    { icon: "similar", text: texts.moreLikeThis, href: address("track", track.track_id) },
    { icon: "less", text: texts.lessLikeThis, act: () => lessLike(track, shown) },
    { icon: "path", text: texts.pathFrom, href: address("path", track.track_id) },
    artists.length > 0 && { icon: "user", text: texts.goToArtist, href: address("artist", artists[0].id) },
    track.album_id && { icon: "album", text: texts.goToAlbum, href: address("album", track.album_id) },
    !track.audio_url && externalAddress(track) && { icon: "search", text: texts.findElsewhere, href: externalAddress(track), target: "_blank" },
    { icon: "hide", text: texts.dislike, act: () => dislike(track, shown) },
    track.album_id && {
      icon: isAlbumOut ? "count" : "leave", text: format(isAlbumOut ? texts.countAlbum : texts.leaveOutAlbum, { name: album }),
      act: () => (isAlbumOut ? countAgain("exclude", "album", track.album_id, album) : leaveOut("album", track.album_id, album)),
    },
    ...artists.map(({ id, name }) => ({ icon: "close", text: format(texts.block, { artist: name }), act: () => block(id, name, shown) })),
  ];
  return html`<${Menu} label=${`${texts.more}: ${track.title || track.track_id}`} items=${items.filter(Boolean)} />`;
}

// Starts a track; pauses and resumes the one that plays.
function StartButton({ track, isPlaying, onStart }) {
  const { engine, texts } = useSession();
  const { isPaused } = usePlayback(engine);
  const isOn = isPlaying && !isPaused;
  return html`<button type="button" class="start" aria-label=${`${isOn ? texts.pause : texts.play} ${track.title || track.track_id}`} onClick=${() => (isPlaying ? engine.toggle() : onStart())}>
    <${Cover} track=${track} /><span class="over"><${Icon} name=${isOn ? "pause" : "play"} /></span>
  </button>`;
}

function Row({ track, place, shown, isPlaying, note, onPlay, onWhy }) {
  return html`<li class=${`song ${isPlaying ? "is-playing" : ""}`}>
    <${StartButton} track=${track} isPlaying=${isPlaying} onStart=${() => onPlay(place)} />
    <div class="what">
      <p class="title">${track.title || track.track_id}</p>
      <p class="sub"><${Artists} track=${track} />${note && html`<span class="note"><span class="dot"> · </span>${note}</span>`}</p>
    </div>
    <span class="time">${track.duration_ms ? clock(track.duration_ms) : ""}</span>
    <${LikeButton} track=${track} shown=${shown} />
    <${TrackMenu} track=${track} shown=${shown} onWhy=${onWhy && (() => onWhy(track, shown))} />
  </li>`;
}

// `shownOf(place)`: how the track at a place was shown; `noteOf(track)`: a text beside the artist.
export function Rows({ tracks, shownOf = () => ({}), kind = "list", noteOf, onWhy, onPlay, columns = 1 }) {
  const { queue, playList, isVisible } = useSession();
  const playing = queue.current?.track.track_id;
  const start = onPlay || ((place) => playList(tracks, place, shownOf, kind));
  return html`<ol class=${`songs ${columns > 1 ? "in-columns" : ""}`}>
    ${tracks.map((track, place) =>
      isVisible(track) &&
      html`<${Row} key=${`${track.track_id}-${track.ended_at || ""}`} track=${track} place=${place} shown=${shownOf(place)} note=${noteOf?.(track)}
        isPlaying=${playing === track.track_id} onPlay=${start} onWhy=${onWhy} />`)}
  </ol>`;
}

// ---- Player

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
  const elsewhere = externalAddress(track);
  return html`<p class="no-audio" role="status">${texts.noAudio} ${elsewhere && html`<a href=${elsewhere} target="_blank" rel="noreferrer">${texts.findElsewhere}</a>`}</p>`;
}

export function Position() {
  const { engine, texts } = useSession();
  const { track, positionMs, wholeMs, kind } = usePlayback(engine);
  if (kind === "missing") return html`<${NoAudio} track=${track} texts=${texts} />`;
  return html`<div class="position">
    <span class="clock">${clock(positionMs)}</span>
    <input type="range" min="0" max=${Math.max(wholeMs, 1)} step="100" value=${positionMs} aria-label=${texts.seek}
      aria-valuetext=${`${clock(positionMs)} / ${clock(wholeMs)}`} style=${`--part:${wholeMs ? positionMs / wholeMs : 0}`}
      onInput=${(event) => engine.seek(Number(event.target.value))} />
    <span class="clock">${clock(wholeMs)}</span>
    ${kind === "preview" && html`<span class="badge" title=${texts.previewHint}>${format(texts.previewOf, { length: clock(track.duration_ms) })}</span>`}
  </div>`;
}

export function PlayButton({ class: name = "" }) {
  const { engine, texts } = useSession();
  const { isPaused, kind } = usePlayback(engine);
  return html`<button type="button" class=${`round main ${name}`} disabled=${kind === "missing"} aria-label=${isPaused ? texts.play : texts.pause} onClick=${() => engine.toggle()}>
    <${Icon} name=${isPaused ? "play" : "pause"} /></button>`;
}

function Volume() {
  const { engine, texts } = useSession();
  usePlayback(engine);
  const { volume } = engine;
  return html`<span class="volume"><${Icon} name="volume" /><input type="range" min="0" max="1" step="0.05" value=${volume} aria-label=${texts.volume} style=${`--part:${volume}`}
    onInput=${(event) => engine.setVolume(Number(event.target.value))} /></span>`;
}

function RepeatButton() {
  const { repeat, changeRepeat, texts } = useSession();
  const label = { off: texts.repeatOff, all: texts.repeatAll, one: texts.repeatOne }[repeat];
  return html`<button type="button" class="plain repeat" aria-pressed=${repeat !== "off"} aria-label=${label} title=${label} onClick=${changeRepeat}><${Icon} name=${repeat === "one" ? "once" : "repeat"} /></button>`;
}

function Transport({ isLarge = false }) {
  const { texts, next, previous } = useSession();
  return html`<div class="buttons">
    <button type="button" class="plain previous" aria-label=${texts.previous} onClick=${previous}><${Icon} name="previous" /></button>
    <${PlayButton} class=${isLarge ? "is-big" : ""} />
    <button type="button" class="plain next" aria-label=${texts.next} onClick=${next}><${Icon} name="next" /></button>
  </div>`;
}

// The full view of what plays; on a phone it fills the screen.
export function NowPlaying({ onClose, onQueue, onWhy }) {
  const { queue, texts, lessLike } = useSession();
  const { track, shown } = queue.current;
  return html`<${Drawer} title=${texts.nowPlaying} closeLabel=${texts.close} onClose=${onClose} class="now-playing">
    <div class="stage" style=${`--hue:${hueOf(track)}`}>
      <${Cover} track=${track} class="is-large" />
      <div class="stage-title"><div class="what"><p class="title">${track.title || track.track_id}</p><p class="sub"><${Artists} track=${track} /></p></div>
        <${LikeButton} track=${track} shown=${shown} class="round" /></div>
      <${Position} />
      <${Transport} isLarge=${true} />
      ${track.reason && html`<p class="reason">${sentence(track.reason)}</p>`}
      <div class="buttons">
        <button type="button" class="pill" onClick=${() => onWhy(track, shown)}><${Icon} name="info" />${texts.why}</button>
        <button type="button" class="pill" onClick=${() => lessLike(track, shown)}><${Icon} name="less" />${texts.lessLikeThis}</button>
      </div>
      <div class="buttons">
        <${RepeatButton} />
        <button type="button" class="plain" aria-label=${texts.queue} onClick=${onQueue}><${Icon} name="queue" /></button>
        <${TrackMenu} track=${track} shown=${shown} onWhy=${() => onWhy(track, shown)} />
      </div>
    </div>
  </${Drawer}>`;
}

// The bar at the bottom; on a phone one line above the tabs.
export function PlayerBar({ isQueueOpen, onQueue, onOpen, onWhy }) {
  const session = useSession();
  const { queue, texts } = session;
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
      <button type="button" class="open-player" aria-label=${texts.openPlayer} onClick=${onOpen}></button>
      <${LikeButton} track=${track} shown=${current.shown} />
    </div>
    <div class="controls"><${Transport} /><${Position} /></div>`}
    <div class="extras">
      ${track && html`<${Volume} /><${RepeatButton} /><${TrackMenu} track=${track} shown=${current.shown} onWhy=${() => onWhy(track, current.shown)} />`}
      <button type="button" class="plain queue-button" aria-pressed=${isQueueOpen} aria-label=${texts.queue} onClick=${onQueue}>
        <${Icon} name="queue" />${upcoming.length > 0 && html`<span class="count">${upcoming.length}</span>`}
      </button>
    </div>
  </section>`;
}

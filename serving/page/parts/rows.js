// Rows of tracks: cover, title, artist, duration, like, and a menu with everything else.
import { html } from "../html.js";
import { clock, format } from "../messages.js";
import { useSession } from "../playback/session.js";
import { address, externalAddress } from "../route.js";
import { Cover } from "./cover.js";
import { Icon } from "./icons.js";
import { Menu } from "./menu.js";

export function Artists({ track }) {
  const names = track.artists;
  if (!names.length) return null;
  return html`<span class="artists">${names.map((name, place) => html`${place > 0 && ", "}${track.artist_ids?.[place]
    ? html`<a href=${address("artist", track.artist_ids[place], name)}>${name}</a>`
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
  const { has, addToQueue, toggleSave, dislike, block, trackTarget, isLeftOut, leaveOut, countAgain, texts } = useSession();
  const isSaved = has("collected", "track", track.track_id);
  const album = track.album || texts.thisAlbum;
  const isAlbumOut = track.album_id && isLeftOut("album", track.album_id);
  const items = [
    onWhy && { icon: "info", text: texts.why, act: onWhy },
    { icon: "queue", text: texts.addToQueue, act: () => addToQueue(track, shown) },
    { icon: isSaved ? "saved" : "save", text: isSaved ? texts.uncollect : texts.collect, act: () => toggleSave(trackTarget(track), shown) },
    { icon: "similar", text: texts.moreLikeThis, href: address("track", track.track_id) },
    { icon: "path", text: texts.pathFrom, href: address("path", track.track_id) },
    !track.audio_url && externalAddress(track) && { icon: "search", text: texts.findElsewhere, href: externalAddress(track), target: "_blank" },
    { icon: "hide", text: texts.dislike, act: () => dislike(track, shown) },
    track.album_id && {
      icon: isAlbumOut ? "count" : "leave", text: format(isAlbumOut ? texts.countAlbum : texts.leaveOutAlbum, { name: album }),
      act: () => (isAlbumOut ? countAgain("exclude", "album", track.album_id, album) : leaveOut("album", track.album_id, album)),
    },
    ...(track.artist_ids || []).map((artist, place) => ({
      icon: "close", text: format(texts.block, { artist: track.artists[place] || artist }), act: () => block(artist, track.artists[place] || artist, shown),
    })),
  ];
  return html`<${Menu} label=${`${texts.more}: ${track.title || track.track_id}`} items=${items.filter(Boolean)} />`;
}

function Row({ track, place, shown, isPlaying, note, onPlay, onWhy }) {
  const { texts } = useSession();
  const title = track.title || track.track_id;
  return html`<li class=${`song ${isPlaying ? "is-playing" : ""}`}>
    <button type="button" class="start" aria-label=${`${texts.play} ${title}`} onClick=${() => onPlay(place)}>
      <${Cover} track=${track} /><span class="over"><${Icon} name="play" /></span>
    </button>
    <div class="what">
      <p class="title">${title}</p>
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

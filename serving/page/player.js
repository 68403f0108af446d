// Session of a listener: what plays, the queue, and what the listener liked, saved, hid and blocked. Each action is an event.
import * as api from "./base.js";
import { format, formatCount, interestName } from "./base.js";
import { Engine } from "./engine.js";
import { createContext, useContext, useEffect, useMemo, useRef, useState } from "./vendor/preact.mjs";

export const RADIO = "private_fm";
const RADIO_LENGTH = 8;
const MAX_PAST = 50;

const Session = createContext(null);
export const SessionProvider = Session.Provider;
export const useSession = () => useContext(Session);

// Reverse of each action that can be undone.
const REVERSE = { like: "unlike", collect: "uncollect", dislike: "undislike", block: "unblock" };
const EXCLUDING = new Set(["dislike", "block"]);
const SETS = { like: "liked", collect: "collected", dislike: "disliked", block: "blocked" };
const FORWARD = Object.fromEntries(Object.entries(REVERSE).map(([action, reverse]) => [reverse, action]));

// Scenes whose lists follow from tracks: less of one of them is a request without it, not an event.
const SEEDED_SCENES = new Set(["continuation", "similar"]);
const REPEATS = ["off", "all", "one"];

const keyOf = (type, id) => `${type}:${id}`;
const EMPTY_LIBRARY = { liked: new Map(), collected: new Map(), disliked: new Map(), blocked: new Map() };
const EMPTY_QUEUE = { past: [], current: null, upcoming: [] };

// Keys of each list of the library → its entry, the newest first.
const asMaps = (answer) =>
  Object.fromEntries(
    Object.keys(EMPTY_LIBRARY).map((name) => [name, new Map((answer[name] || []).map((one) => [keyOf(one.target_type, one.target_id), one]))]),
  );

let number = 0;
const entryOf = (track, shown, kind) => ({ track, shown, kind, key: (number += 1) });

// The queue survives a reload, in this tab only.
const queueKey = (userId) => `segue-queue:${userId}`;
export const forgetQueue = (userId) => sessionStorage.removeItem(queueKey(userId));
function readQueue(userId) {
  const stored = JSON.parse(sessionStorage.getItem(queueKey(userId)) || "null");
  if (!stored?.queue.current) return { queue: EMPTY_QUEUE, positionMs: 0 };
  const anew = (entry) => ({ ...entry, key: (number += 1) });
  const { past, current, upcoming } = stored.queue;
  return { queue: { past: past.map(anew), current: anew(current), upcoming: upcoming.map(anew) }, positionMs: stored.positionMs };
}

const TASTE_REVERSE = { exclude: "unexclude", unexclude: "exclude", reset: "unreset", unreset: "reset" };
const EMPTY_TASTE = { interests: [], left_out: [], private_session: null };

// The control of the taste profile: interests, what does not count, and private sessions. `onChange` is called after each event.
function useTaste({ userId, texts, toast, onError, onChange }) {
  const [taste, setTaste] = useState(EMPTY_TASTE);
  const [isLoaded, setLoaded] = useState(false);
  const refresh = async () => {
    setTaste(await api.tasteOf(userId));
    setLoaded(true);
  };

  async function control(action, type, id) {
    await api.report(userId, type, id, action);
    await refresh();
    onChange();
  }
  const controlWithUndo = (action, type, id, text, name) =>
    control(action, type, id).then(() => toast(format(text, { name }), texts.undo, () => control(TASTE_REVERSE[action], type, id).catch(onError)), onError);
  const interestTitle = (interest) => interest.name || interestName(interest.interest_id, texts);

  return {
    taste, refresh, interestTitle,
    isTasteLoaded: isLoaded,
    isLeftOut: (type, id) => taste.left_out.some((one) => one.target_type === type && one.target_id === id),
    leaveOut: (type, id, name) => controlWithUndo("exclude", type, id, texts.leftOutToast, name),
    countAgain: (action, type, id, name) => controlWithUndo(TASTE_REVERSE[action], type, id, texts.countedToast, name),
    pauseInterest: (one) => controlWithUndo("exclude", "interest", one.interest_id, texts.pausedToast, interestTitle(one)),
    resumeInterest: (one) => control("unexclude", "interest", one.interest_id).catch(onError),
    removeInterest: (one) => controlWithUndo("reset", "interest", one.interest_id, texts.removedToast, interestTitle(one)),
    renameInterest: (one, name) => control("rename", "interest", `${one.interest_id}=${name.trim()}`).catch(onError),
    setPrivate: (isOn) =>
      control(isOn ? "start_private" : "end_private", "session", "page")
        .then(() => toast(isOn ? texts.privateOnToast : texts.privateOffToast), onError),
  };
}

export function useNewSession({ userId, language, texts, toast, onError, onErased }) {
  const engine = useMemo(() => new Engine(), [userId]);
  const restored = useMemo(() => readQueue(userId), [userId]);
  const [queue, setQueue] = useState(restored.queue);
  const [library, setLibrary] = useState(EMPTY_LIBRARY);
  const [version, setVersion] = useState(0); // changes with every event
  const [exclusions, setExclusions] = useState(0); // changes with every event that hides something, or takes that back
  const [discovery, setDiscovery] = useState(null);
  const [repeat, setRepeat] = useState("off");
  const [negatives, setNegatives] = useState([]); // tracks that seeded lists should have less of
  const [note, setNote] = useState("");
  const latest = useRef({});
  const onTasteChange = () => {
    setVersion((one) => one + 1);
    setExclusions((one) => one + 1);
    if (isRadio()) refill("changed").catch(onError);
  };
  const tasteControl = useTaste({ userId, texts, toast, onError, onChange: onTasteChange });
  Object.assign(latest.current, { queue, library, language, discovery, repeat, isPrivate: tasteControl.taste.private_session !== null });

  // Library and taste come after the first list.
  const start = () => {
    if (latest.current.isStarted) return;
    latest.current.isStarted = true;
    api.library(userId).then((answer) => setLibrary(asMaps(answer))).then(tasteControl.refresh).catch(onError);
  };
  const keep = () => {
    const { past, current, upcoming } = latest.current.queue;
    const kept = { past: past.slice(-MAX_PAST), current, upcoming: upcoming.slice(0, MAX_PAST) };
    sessionStorage.setItem(queueKey(userId), JSON.stringify({ queue: kept, positionMs: engine.state.positionMs }));
  };
  useEffect(() => {
    if (restored.queue.current) engine.load(restored.queue.current.track, restored.positionMs);
    const onHide = () => (latest.current.queue.current ? keep() : forgetQueue(userId));
    window.addEventListener("pagehide", onHide);
    return () => {
      window.removeEventListener("pagehide", onHide);
      engine.stop();
    };
  }, [userId]);

  const change = (next) => {
    latest.current.queue = next;
    setQueue(next);
  };
  // The queue without the current track: [tracks before it with it, tracks after it].
  const split = () => {
    const { past, current, upcoming } = latest.current.queue;
    return [current ? [...past, current].slice(-MAX_PAST) : past, upcoming];
  };

  // Plays a track, or nothing, and reports the track that it replaces, unless that has no audio.
  async function play(entry, upcoming, past = latest.current.queue.past, playedMs = engine.playedMs) {
    const { current } = latest.current.queue;
    if (current) current.isUnheard = playedMs === null;
    change({ past, current: entry, upcoming });
    if (entry) engine.load(entry.track);
    else engine.stop();
    if (!current || current.isUnheard) return;
    await api.report(userId, "track", current.track.track_id, "play", current.shown, playedMs);
    setVersion((one) => one + 1);
  }

  // Plays a list from a place on. `shownOf(place)` says how the track was shown; `kind` is "radio" or "list".
  function playList(tracks, place, shownOf, kind = "list") {
    const entries = tracks.map((track, index) => entryOf(track, shownOf(index), kind));
    play(entries[place], entries.slice(place + 1), split()[0]).catch(onError);
    setNote("");
    if (kind === "radio" && entries.length - place <= 3) refill().catch(onError);
  }

  // Requests radio tracks that follow from what was played and liked, and shows them in place of the earlier ones. `why`: key of
  // the text that announces them.
  async function refill(why = "") {
    const requested = (latest.current.requested || 0) + 1;
    latest.current.requested = requested;
    const { current } = latest.current.queue;
    // The service knows neither what a private session has played nor what had no audio.
    const unknown = latest.current.queue.past.filter((entry) => latest.current.isPrivate || entry.isUnheard);
    const exclude = [...unknown, ...(current ? [current] : [])].map((entry) => entry.track.track_id);
    const answer = await api.recommend(userId, RADIO, latest.current.language, { discovery: latest.current.discovery, limit: RADIO_LENGTH, exclude });
    if (requested !== latest.current.requested) return;
    const { past, current: now, upcoming } = latest.current.queue;
    const known = new Map(upcoming.map((entry) => [entry.track.track_id, entry]));
    const chosen = upcoming.filter((entry) => entry.kind !== "radio");
    const added = answer.items.map((track, position) => {
      const shown = { request_id: answer.request_id, position, scene: RADIO };
      return { ...entryOf(track, shown, "radio"), key: known.get(track.track_id)?.key || (number += 1), isNew: !known.has(track.track_id) };
    });
    const listed = new Set(chosen.map((entry) => entry.track.track_id));
    const next = [...chosen, ...added.filter((entry) => !listed.has(entry.track.track_id) && entry.track.track_id !== now?.track.track_id)];
    change({ past, current: now, upcoming: next });
    const count = next.filter((entry) => entry.isNew).length;
    if (why) setNote(count ? formatCount(texts, why, count) : texts.unchanged);
  }

  const isRadio = () => latest.current.queue.current?.kind === "radio";

  async function playRadio(answer, place = 0) {
    playList(answer.items, place, (position) => ({ request_id: answer.request_id, position, scene: RADIO }), "radio");
  }

  // Goes on to the next track after `playedMs` of the current one; with an empty queue, the list is repeated, or the radio
  // follows. A track that was not heard changes nothing that follows.
  async function advance(playedMs, why) {
    const { current } = latest.current.queue;
    if (!current) return;
    const wasRadio = current.kind === "radio";
    let [past, upcoming] = split();
    if (!upcoming.length && latest.current.repeat === "all") [past, upcoming] = [[], past.map((entry) => ({ ...entry, key: (number += 1) }))];
    await play(upcoming[0] || null, upcoming.slice(1), past, playedMs);
    const isFollowed = wasRadio && playedMs !== null;
    if (isFollowed || (upcoming.length < 2 && latest.current.repeat !== "all")) await refill(isFollowed ? why : "");
    const { current: now, upcoming: then } = latest.current.queue;
    if (!now && then.length) await play(then[0], then.slice(1));
  }
  function end(playedMs) {
    const { past, current, upcoming } = latest.current.queue;
    if (latest.current.repeat === "one") return play(current, upcoming, past, playedMs);
    return advance(playedMs, "changedAfterPlay");
  }
  engine.onEnd = (playedMs) => end(playedMs).catch(onError);
  const next = () => advance(engine.playedMs, "changedAfterSkip").catch(onError);

  function previous() {
    const { past, current, upcoming } = latest.current.queue;
    if (engine.state.positionMs > 3_000 || !past.length) engine.seek(0);
    else play(past.at(-1), current ? [current, ...upcoming] : upcoming, past.slice(0, -1)).catch(onError);
  }

  function setMark(action, key, entry) {
    const isReverse = action in FORWARD;
    const name = SETS[isReverse ? FORWARD[action] : action];
    const marks = new Map(latest.current.library[name]);
    marks.delete(key);
    latest.current.library = { ...latest.current.library, [name]: isReverse ? marks : new Map([[key, entry], ...marks]) };
    setLibrary(latest.current.library);
  }

  // Reports an action on a track, an artist or a collection, shows it at once, and takes it back if the service rejects it.
  async function act(action, target, shown = {}) {
    const key = keyOf(target.type, target.id);
    const entry = { target_type: target.type, target_id: target.id, name: target.name, track: target.track };
    const undo = REVERSE[action] || FORWARD[action];
    setMark(action, key, entry);
    try {
      await api.report(userId, target.type, target.id, action, shown);
    } catch (error) {
      setMark(undo, key, entry);
      throw error;
    }
    setVersion((one) => one + 1);
    if (EXCLUDING.has(action) || EXCLUDING.has(FORWARD[action])) setExclusions((one) => one + 1);
    if (isRadio() && action in REVERSE) refill(action === "like" ? "changedAfterLike" : "changed").catch(onError);
  }

  // Hides a track or blocks an artist, with a toast to undo it.
  async function exclude(action, target, shown) {
    const isGone = (track) => (target.type === "artist" ? (track.artist_ids || []).includes(target.id) : track.track_id === target.id);
    await act(action, target, shown);
    const text = action === "block" ? texts.blockedToast : texts.dislikedToast;
    toast(format(text, { name: target.name }), texts.undo, () => act(REVERSE[action], target).catch(onError));
    const { current, upcoming, past } = latest.current.queue;
    const kept = upcoming.filter((entry) => !isGone(entry.track));
    if (current && isGone(current.track)) await play(kept[0] || null, kept.slice(1));
    else change({ past, current, upcoming: kept });
  }

  const trackTarget = (track) => ({ type: "track", id: track.track_id, name: track.title, track });
  const has = (name, type, id) => library[name].has(keyOf(type, id));
  const dislike = (track, shown) => exclude("dislike", trackTarget(track), shown).catch(onError);

  // Less of a track: seeded lists are requested without it, all others learn from "not interested".
  function lessLike(track, shown) {
    if (!SEEDED_SCENES.has(shown?.scene)) return dislike(track, shown);
    const without = (all) => all.filter((one) => one.track_id !== track.track_id);
    setNegatives((all) => [...without(all), track]);
    return toast(format(texts.lessLikeToast, { name: track.title }), texts.undo, () => setNegatives(without));
  }

  // Adds a track at a place of the queue, or plays it if nothing plays.
  function enqueue(track, shown, placeOf) {
    const { current, upcoming, past } = latest.current.queue;
    const entry = entryOf(track, shown, "list");
    if (!current) return play(entry, upcoming).catch(onError);
    toast(format(texts.queuedToast, { name: track.title }));
    const at = placeOf(upcoming);
    return change({ past, current, upcoming: [...upcoming.slice(0, at), entry, ...upcoming.slice(at)] });
  }
  const beforeRadio = (upcoming) => {
    const place = upcoming.findIndex((one) => one.kind === "radio");
    return place < 0 ? upcoming.length : place;
  };

  return {
    userId, language, texts, engine, queue, library, version, exclusions, discovery, repeat, negatives, note, toast, onError, onErased, has, start,
    setDiscovery: (value) => {
      latest.current.discovery = value;
      setDiscovery(value);
      if (isRadio()) refill("changed").catch(onError);
    },
    changeRepeat: () => setRepeat((one) => REPEATS[(REPEATS.indexOf(one) + 1) % REPEATS.length]),
    isVisible: (track) =>
      !has("disliked", "track", track.track_id) && !has("blocked", "track", track.track_id) &&
      !(track.artist_ids || []).some((artist) => has("blocked", "artist", artist)),
    playList, playRadio, next, previous, dislike, lessLike,
    forgive: (track) => setNegatives((all) => all.filter((one) => one.track_id !== track.track_id)),
    playAt: (place) => {
      const [past, upcoming] = split();
      play(upcoming[place], upcoming.slice(place + 1), past).catch(onError);
    },
    addToQueue: (track, shown) => enqueue(track, shown, beforeRadio),
    playNext: (track, shown) => enqueue(track, shown, () => 0),
    move: (from, to) => {
      const { past, current, upcoming } = latest.current.queue;
      if (to < 0 || to >= upcoming.length) return;
      const rest = upcoming.filter((_, place) => place !== from);
      // A track that the listener has placed is no longer replaced by the radio.
      rest.splice(to, 0, { ...upcoming[from], kind: "list" });
      change({ past, current, upcoming: rest });
    },
    remove: (place) => change({ ...latest.current.queue, upcoming: latest.current.queue.upcoming.filter((_, one) => one !== place) }),
    toggleLike: (track, shown) => act(has("liked", "track", track.track_id) ? "unlike" : "like", trackTarget(track), shown).catch(onError),
    toggleSave: (target, shown) => act(has("collected", target.type, target.id) ? "uncollect" : "collect", target, shown).catch(onError),
    block: (artistId, name, shown) => exclude("block", { type: "artist", id: artistId, name }, shown).catch(onError),
    reverse: (action, entry) => act(REVERSE[action], { type: entry.target_type, id: entry.target_id, name: entry.name, track: entry.track }).catch(onError),
    trackTarget,
    ...tasteControl,
  };
}

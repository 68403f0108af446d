// Listening page: navigation, the view of the address, the player, and drawers.
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import * as api from "./api.js";
import { html } from "./html.js";
import { LANGUAGES, load, localeOf, NAMES, preferred } from "./messages.js";
import { Developer } from "./parts/developer.js";
import { Icon } from "./parts/icons.js";
import { Toasts, useToasts } from "./parts/toasts.js";
import { Why } from "./parts/reason.js";
import { PlayerBar } from "./playback/player_bar.js";
import { QueueDrawer } from "./playback/queue.js";
import { SessionProvider, useNewSession, useSession } from "./playback/session.js";
import { address, useRoute } from "./route.js";
import { Collection, Collections } from "./views/collections.js";
import { History } from "./views/history.js";
import { Home } from "./views/home.js";
import { Library } from "./views/library.js";
import { Radio } from "./views/radio.js";
import { Search } from "./views/search.js";
import { Taste } from "./views/taste.js";
import { ArtistPage, PathPage, remember, TrackPage } from "./views/track.js";
import { Welcome } from "./views/welcome.js";

const DAILY = "daily";
const REQUESTED_USER = new URLSearchParams(location.search).get("user") || "";

// The list of the day is requested before the page is drawn, if it opens at home, which takes this answer.
const early = {};
if (REQUESTED_USER && ["", "#/"].includes(location.hash)) {
  const answer = api.recommend(REQUESTED_USER, DAILY, preferred());
  answer.catch(() => {}); // the view that takes the answer reports the error
  early[`${REQUESTED_USER} ${preferred()}`] = answer;
}
const daily = (userId, language, isChanged) => {
  const key = `${userId} ${language}`;
  const answer = (!isChanged && early[key]) || api.recommend(userId, DAILY, language);
  delete early[key];
  return answer.then((found) => {
    remember(found.items);
    return found;
  });
};

const PLACES = [
  ["", "home"],
  ["radio", "radio"],
  ["playlists", "playlists"],
  ["videos", "videos"],
  ["liked", "heart"],
  ["history", "history"],
  ["search", "search"],
  ["taste", "taste"],
];
const PARENTS = { playlist: "playlists", mlog: "videos", artist: "search", track: "search", path: "search" };

function Navigation({ view, texts, children }) {
  const titles = { "": texts.home, radio: texts.radio, playlists: texts.playlists, videos: texts.videos, liked: texts.liked, history: texts.history, search: texts.search, taste: texts.taste };
  const here = PARENTS[view] ?? view;
  return html`<nav class="places" aria-label=${texts.title}>
    <a class="brand" href="#/" tabindex="-1" aria-hidden="true"><span class="mark"></span>${texts.title}</a>
    <ul>${PLACES.map(([name, icon]) => html`<li key=${name} class=${`is-${name || "home"}`}><a href=${address(name)} aria-current=${here === name ? "page" : undefined}><${Icon} name=${icon} /><span>${titles[name]}</span></a></li>`)}</ul>
    ${children}
  </nav>`;
}

function View({ route, onWhy }) {
  const [view, first, second] = route;
  switch (view) {
    case "radio": return html`<${Radio} onWhy=${onWhy} />`;
    case "playlists": return html`<${Collections} key="playlist" kind="playlist" />`;
    case "videos": return html`<${Collections} key="mlog" kind="mlog" />`;
    case "playlist":
    case "mlog": return html`<${Collection} key=${`${view}:${first}`} kind=${view} id=${first} onWhy=${onWhy} />`;
    case "liked": return html`<${Library} onWhy=${onWhy} />`;
    case "history": return html`<${History} onWhy=${onWhy} />`;
    case "taste": return html`<${Taste} />`;
    case "search": return html`<${Search} query=${first} onWhy=${onWhy} />`;
    case "track": return html`<${TrackPage} key=${first} trackId=${first} onWhy=${onWhy} />`;
    case "path": return html`<${PathPage} key=${first} from=${first} to=${second} onWhy=${onWhy} />`;
    case "artist": return html`<${ArtistPage} key=${first} artistId=${first} name=${second || first} onWhy=${onWhy} />`;
    default: return html`<${Home} daily=${daily} onWhy=${onWhy} />`;
  }
}

function PrivateNote() {
  const { taste, texts, setPrivate } = useSession();
  if (!taste.private_session) return null;
  return html`<p class="private-note" role="status"><${Icon} name="private" /><span>${texts.privateNote}</span>
    <button type="button" onClick=${() => setPrivate(false)}>${texts.endPrivate}</button></p>`;
}

function Listening({ userId, language, texts, tools, error, onError, onChange, onErased }) {
  const [toasts, toast] = useToasts();
  const route = useRoute();
  const session = useNewSession({ userId, language, texts, toast, onError, onErased });
  const [drawer, setDrawer] = useState(null);
  const close = () => setDrawer(null);
  const toggle = (name) => setDrawer((open) => (open?.name === name ? null : { name }));
  const onWhy = (track, shown) => setDrawer({ name: "why", track, shown });
  return html`<${SessionProvider} value=${session}>
    <div class=${`app ${drawer ? "has-drawer" : ""}`}>
      <${Navigation} view=${route[0]} texts=${texts}>
        <div class="tools">
          <a class="plain taste-link" href=${address("taste")} aria-label=${texts.taste} title=${texts.taste}><${Icon} name="taste" /></a>
          <button type="button" class="plain" aria-label=${texts.change} title=${texts.change} onClick=${onChange}><${Icon} name="user" /></button>
          <button type="button" class="plain" aria-pressed=${drawer?.name === "developer"} aria-label=${texts.developer} title=${texts.developer} onClick=${() => toggle("developer")}><${Icon} name="developer" /></button>
          ${tools}
        </div>
      </${Navigation}>
      <main id="main" tabindex="-1">${error}<${PrivateNote} /><${View} route=${route} onWhy=${onWhy} /></main>
      ${drawer?.name === "why" && html`<${Why} key=${drawer.track.track_id} track=${drawer.track} shown=${drawer.shown} onClose=${close} />`}
      ${drawer?.name === "queue" && html`<${QueueDrawer} onClose=${close} />`}
      ${drawer?.name === "developer" && html`<${Developer} onClose=${close} />`}
      <${PlayerBar} isQueueOpen=${drawer?.name === "queue"} onQueue=${() => toggle("queue")} onWhy=${onWhy} />
      <${Toasts} toasts=${toasts} />
    </div>
  </${SessionProvider}>`;
}

function App() {
  const [language, setLanguage] = useState(preferred());
  const [userId, setUserId] = useState(REQUESTED_USER);
  const [error, setError] = useState("");
  const [notice, setNotice] = useState("");
  const texts = LANGUAGES[language];
  useEffect(() => {
    document.documentElement.lang = localeOf(language);
    localStorage.setItem("segue-language", language);
  }, [language]);
  const open = (id) => {
    setError("");
    setNotice("");
    setUserId(id);
    history.replaceState(null, "", id ? `?user=${encodeURIComponent(id)}` : ".");
  };
  const onError = useMemo(() => (problem) => setError(problem.message || String(problem)), []);
  const onErased = () => {
    open("");
    setNotice("erasedNotice");
  };
  const other = NAMES.find((name) => name !== language);
  const tools = html`<button type="button" class="plain language" lang=${localeOf(other)} onClick=${() => load(other).then(() => setLanguage(other), onError)}>${texts.language}</button>`;
  const alert = error && html`<p class="error" role="alert"><span>${texts[error] || error}</span><button type="button" class="plain" aria-label=${texts.close} onClick=${() => setError("")}><${Icon} name="close" /></button></p>`;
  return userId
    ? html`<${Listening} key=${userId} userId=${userId} language=${language} texts=${texts} tools=${tools} error=${alert} onError=${onError} onChange=${() => open("")} onErased=${onErased} />`
    : html`<div class="app is-welcome"><header class="top"><span class="brand"><span class="mark"></span>${texts.title}</span><div class="tools"><a href="./docs">${texts.api}</a>${tools}</div></header>
        <main>${alert}${notice && html`<p class="notice" role="status">${texts[notice]}</p>`}<${Welcome} language=${language} texts=${texts} onStart=${open} onError=${onError} /></main></div>`;
}

await load(preferred());
render(html`<${App} />`, document.body);

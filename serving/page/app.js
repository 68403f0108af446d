// Listening page: navigation, the view of the address, the player, and drawers. Views and drawers are loaded when first opened.
import * as api from "./base.js";
import { address, LANGUAGES, load, localeOf, NAMES, preferred, useRoute } from "./base.js";
import { Icon, LoadingRows, Toasts, useToasts } from "./parts.js";
import { NowPlaying, PlayerBar } from "./player_view.js";
import { forgetQueue, SessionProvider, useNewSession, useSession } from "./player.js";
import { html, render, useEffect, useMemo, useState } from "./vendor/preact.mjs";
import { Home } from "./views/home.js";

const DAILY = "daily";
const DEVELOPER = "segue-developer";
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
  return answer;
};

// A component of a module that is loaded when it is first shown.
function lazy(name, open, Waiting = () => null) {
  let Loaded = null;
  return function Lazy(properties) {
    const [, setLoaded] = useState(false);
    useEffect(() => {
      if (!Loaded) open().then((module) => setLoaded(Boolean((Loaded = module[name]))), () => properties.onError(new api.ApiError("outdated")));
    }, []);
    return Loaded ? html`<${Loaded} ...${properties} />` : html`<${Waiting} />`;
  };
}
const ofView = (file, name) => lazy(name, () => import(`./views/${file}.js`), LoadingRows);
const ofDrawer = (name) => lazy(name, () => import("./drawers.js"));
const [Radio, Library, Search, Taste, Welcome] = ["Radio", "Library", "Search", "Taste", "Welcome"].map((name) => ofView(name.toLowerCase(), name));
const [Playlists, Playlist, Album, Artist, Track, Path] = ["Playlists", "Playlist", "Album", "Artist", "Track", "Path"].map((name) => ofView("lists", name));
const [QueueDrawer, Why, Developer] = ["QueueDrawer", "Why", "Developer"].map(ofDrawer);

const PLACES = [
  ["", "home"],
  ["radio", "radio"],
  ["playlists", "playlists"],
  ["library", "heart"],
  ["search", "search"],
  ["taste", "taste"],
];
const PARENTS = { playlist: "playlists", album: "search", artist: "search", track: "search", path: "search" };

function Navigation({ view, texts, children }) {
  const titles = { "": texts.home, radio: texts.radio, playlists: texts.playlists, library: texts.library, search: texts.search, taste: texts.taste };
  const here = PARENTS[view] ?? view;
  return html`<nav class="places" aria-label=${texts.title}>
    <a class="brand" href="#/" tabindex="-1" aria-hidden="true"><span class="mark"></span>${texts.title}</a>
    <ul>${PLACES.map(([name, icon]) => html`<li key=${name} class=${`is-${name || "home"}`}><a href=${address(name)} aria-current=${here === name ? "page" : undefined}><${Icon} name=${icon} /><span>${titles[name]}</span></a></li>`)}</ul>
    ${children}
  </nav>`;
}

function View({ route, onWhy, ...settings }) {
  const { onError } = useSession();
  const [view, first, second] = route;
  const shared = { onWhy, onError };
  switch (view) {
    case "radio": return html`<${Radio} ...${shared} />`;
    case "playlists": return html`<${Playlists} ...${shared} />`;
    case "playlist": return html`<${Playlist} key=${first} id=${first} ...${shared} />`;
    case "album": return html`<${Album} key=${first} id=${first} ...${shared} />`;
    case "artist": return html`<${Artist} key=${first} id=${first} ...${shared} />`;
    case "track": return html`<${Track} key=${first} id=${first} ...${shared} />`;
    case "path": return html`<${Path} key=${first} from=${first} to=${second} ...${shared} />`;
    case "library": return html`<${Library} tab=${first} ...${shared} />`;
    case "search": return html`<${Search} key=${first} query=${first} ...${shared} />`;
    case "taste": return html`<${Taste} ...${settings} onError=${onError} />`;
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
  const [isDeveloper, setDeveloper] = useState(localStorage.getItem(DEVELOPER) === "yes");
  const close = () => setDrawer(null);
  const toggle = (name) => setDrawer((open) => (open?.name === name ? null : { name }));
  const onWhy = (track, shown) => setDrawer({ name: "why", track, shown });
  const onDeveloper = () => {
    localStorage.setItem(DEVELOPER, isDeveloper ? "no" : "yes");
    setDeveloper(!isDeveloper);
  };
  useEffect(() => {
    if (route[0]) session.start(); // home starts after its first list
    // An error belongs to the view where it happened, and a drawer to the view that it was opened from.
    onError("");
    close();
  }, [route.join("/")]);
  return html`<${SessionProvider} value=${session}>
    <div class=${`app ${drawer ? "has-drawer" : ""}`}>
      <${Navigation} view=${route[0]} texts=${texts}>
        <div class="tools">
          <a class="plain taste-link" href=${address("taste")} aria-label=${texts.taste} title=${texts.taste}><${Icon} name="taste" /></a>
          <button type="button" class="plain" aria-label=${texts.change} title=${texts.change} onClick=${onChange}><${Icon} name="user" /></button>
          ${isDeveloper && html`<button type="button" class="plain" aria-pressed=${drawer?.name === "developer"} aria-label=${texts.developer} title=${texts.developer} onClick=${() => toggle("developer")}><${Icon} name="developer" /></button>`}
          ${tools}
        </div>
      </${Navigation}>
      <main id="main" tabindex="-1">${error}<${PrivateNote} /><${View} route=${route} onWhy=${onWhy} isDeveloper=${isDeveloper} onDeveloper=${onDeveloper} /></main>
      ${drawer?.name === "why" && html`<${Why} key=${drawer.track.track_id} track=${drawer.track} shown=${drawer.shown} isDeveloper=${isDeveloper} onClose=${close} onError=${onError} />`}
      ${drawer?.name === "queue" && html`<${QueueDrawer} onClose=${close} onError=${onError} />`}
      ${drawer?.name === "developer" && html`<${Developer} onClose=${close} onError=${onError} />`}
      ${drawer?.name === "player" && session.queue.current && html`<${NowPlaying} onClose=${close} onQueue=${() => toggle("queue")} onWhy=${onWhy} />`}
      <${PlayerBar} isQueueOpen=${drawer?.name === "queue"} onQueue=${() => toggle("queue")} onOpen=${() => toggle("player")} onWhy=${onWhy} />
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
    forgetQueue(userId);
    open("");
    setNotice("erasedNotice");
  };
  const other = NAMES.find((name) => name !== language);
  const tools = html`<button type="button" class="plain language" lang=${localeOf(other)} onClick=${() => load(other).then(() => setLanguage(other), onError)}>${texts.language}</button>`;
  const alert = error && html`<p class="error" role="alert"><span>${texts[error] || error}</span><button type="button" class="plain" aria-label=${texts.close} onClick=${() => setError("")}><${Icon} name="close" /></button></p>`;
  return userId
    ? html`<${Listening} key=${userId} userId=${userId} language=${language} texts=${texts} tools=${tools} error=${alert} onError=${onError} onChange=${() => open("")} onErased=${onErased} />`
    : html`<div class="app is-welcome"><header class="top"><span class="brand"><span class="mark"></span>${texts.title}</span><div class="tools">${tools}</div></header>
        <main>${alert}${notice && html`<p class="notice" role="status">${texts[notice]}</p>`}<${Welcome} language=${language} texts=${texts} onStart=${open} onError=${onError} /></main></div>`;
}

await load(preferred());
render(html`<${App} />`, document.body);

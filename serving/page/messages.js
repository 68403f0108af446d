// Texts of the page, from the message catalogs that the service renders reasons with. `format` fills in placeholders.

const loading = {};
const asTexts = ({ page, behaviors, scenes, channels, tasks, facets }) => ({ ...page, behaviors, scenes, channels, tasks, facets });

export const NAMES = ["en", "zh"];
export const LANGUAGES = {};

// Loads the catalog of a language once.
export function load(language) {
  loading[language] ??= fetch(`./page/messages/${language}.json`)
    .then((answer) => answer.json())
    .then((catalog) => (LANGUAGES[language] = asTexts(catalog)));
  return loading[language];
}

export function preferred() {
  const stored = localStorage.getItem("segue-language");
  return NAMES.includes(stored) ? stored : navigator.language.startsWith("zh") ? "zh" : "en";
}

export const localeOf = (language) => (language === "zh" ? "zh-Hans" : "en");

export const format = (text, parameters) => text.replace(/\{(\w+)\}/g, (_, name) => parameters[name]);

// A text with a number; in English one has a form of its own (`<key>_1`).
export const formatCount = (texts, key, count) => format((count === 1 && texts[`${key}_1`]) || texts[key], { count });

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const facetName = (facet, texts) => texts.facets[facet] || facet;

// An interest is named by facet values, which have a name in each language, or by artists.
export const interestName = (name, texts) => name.split(" · ").map((part) => facetName(part, texts)).join(" · ");

export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// "30 songs · 1 h 42 min"
export function summary(tracks, texts) {
  const minutes = Math.round(tracks.reduce((sum, track) => sum + (track.duration_ms || 0), 0) / 60_000);
  const hours = Math.floor(minutes / 60);
  const count = formatCount(texts, "songCount", tracks.length);
  if (!minutes) return count;
  return `${count} · ${hours ? format(texts.hoursMinutes, { hours, minutes: minutes % 60 }) : format(texts.minutes, { minutes })}`;
}

const DAY_MS = 86_400_000;
const midnight = (time) => new Date(time).setHours(0, 0, 0, 0);

// "Today", "Yesterday", "Monday", "3 May"; times are in ms since 1970.
export function dayName(time, language) {
  const days = Math.round((midnight(Date.now()) - midnight(time)) / DAY_MS);
  const locale = localeOf(language);
  if (days < 2) {
    const text = new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-days, "day");
    return text.charAt(0).toUpperCase() + text.slice(1);
  }
  const isThisYear = new Date(time).getFullYear() === new Date().getFullYear();
  const parts = days < 7 ? { weekday: "long" } : { day: "numeric", month: "long", ...(isThisYear ? {} : { year: "numeric" }) };
  return new Intl.DateTimeFormat(locale, parts).format(time);
}

export const timeOfDay = (time, language) => new Intl.DateTimeFormat(localeOf(language), { hour: "numeric", minute: "2-digit" }).format(time);

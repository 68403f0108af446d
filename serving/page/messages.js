// Texts of the page, from the message catalogs that the service renders reasons with. `format` fills in placeholders.

const load = async (language) => (await fetch(`./page/messages/${language}.json`)).json();

const asTexts = ({ page, behaviours, scenes, channels, facets }) => ({ ...page, behaviours, scenes, channels, facets });

export const LANGUAGES = { en: asTexts(await load("en")), zh: asTexts(await load("zh")) };

export function preferred() {
  const stored = localStorage.getItem("segue-language");
  return stored in LANGUAGES ? stored : navigator.language.startsWith("zh") ? "zh" : "en";
}

export const format = (text, parameters) => text.replace(/\{(\w+)\}/g, (_, name) => parameters[name]);

// An interest is named by facet values, which have a name in each language, or by artists.
export const interestName = (name, texts) =>
  name.split(" · ").map((part) => texts.facets[part] || part).join(" · ");

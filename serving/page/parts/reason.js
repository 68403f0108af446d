// Why a track is recommended: the reason, what found it and how it scored, its way through the music graph, its tags.
import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { html } from "../html.js";
import { facetName, format, sentence } from "../messages.js";
import { useSession } from "../playback/session.js";
import { Cover } from "./cover.js";
import { Drawer } from "./drawer.js";
import { Artists } from "./rows.js";

// A list of the day keeps its reasons, so the same reason may have newer numbers by now.
const withoutNumbers = (text) => (text || "").replace(/\d+/g, "");
const percent = (value) => `${Math.round(value * 100)}%`;

function Bars({ title, hint, rows }) {
  if (!rows.length) return null;
  return html`<h3>${title}</h3>${hint && html`<p class="hint">${hint}</p>`}
    <dl class="bars">${rows.map(({ name, value, text }) => html`<div key=${name}>
      <dt>${name}</dt><dd><span class="bar" style=${`--part:${value}`}></span><span class="bar-text">${text}</span></dd></div>`)}</dl>`;
}

// Nodes of the music graph from the listener to the track, with what connects them.
function GraphPath({ steps, texts }) {
  if (!steps.length) return null;
  return html`<h3>${texts.graphPath}</h3><ol class="graph">
    <li class="node is-you">${texts.you}</li>
    ${steps.map((step, place) => html`<li key=${place}><span class="edge">${step.relation}</span><span class="node">${step.node}</span></li>`)}
  </ol>`;
}

export function Why({ track, shown, onClose }) {
  const { userId, language, texts, onError } = useSession();
  const [found, setFound] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    setFound(null);
    api.explain(userId, track.track_id, shown?.scene, language).then(
      (answer) => isCurrent && setFound(answer),
      (error) => (error.status === 404 ? isCurrent && setFound({}) : onError(error)),
    );
    return () => (isCurrent = false);
  }, [track.track_id, language]);
  const reason = track.reason || found?.channels?.[0]?.reason;
  const others = [...new Set((found?.channels || []).map((one) => one.reason))].filter(
    (one) => one && withoutNumbers(one) !== withoutNumbers(reason),
  );
  const channels = found?.channels || (track.channels || []).map((name) => ({ name }));
  const tasks = Object.entries(found?.tasks || {}).filter(([name]) => name in texts.tasks);
  return html`<${Drawer} title=${texts.why} closeLabel=${texts.close} onClose=${onClose} class="why">
    <div class="why-track"><${Cover} track=${track} /><div><p class="title">${track.title || track.track_id}</p><p class="sub"><${Artists} track=${track} /></p></div></div>
    ${reason && html`<p class="reason">${sentence(reason)}</p>`}
    <${Bars} title=${texts.prediction} rows=${tasks.map(([name, value]) => ({ name: texts.tasks[name], value, text: percent(value) }))} />
    <${Bars} title=${texts.foundBy} hint=${texts.foundByHint} rows=${channels.map(({ name, rank }) => ({
      name: texts.channels[name] || name, value: rank ? 1 / rank ** 0.3 : 1, text: rank ? format(texts.rank, { rank }) : "",
    }))} />
    ${others.length > 0 && html`<h3>${texts.otherReasons}</h3><ul class="reasons">${others.map((one) => html`<li key=${one}>${sentence(one)}</li>`)}</ul>`}
    ${found?.graph && html`<${GraphPath} steps=${found.graph} texts=${texts} />`}
    ${track.facets?.length > 0 && html`<h3>${texts.tags}</h3><ul class="chips">${track.facets.map((facet) => html`<li key=${facet}>${facetName(facet, texts)}</li>`)}</ul>`}
  </${Drawer}>`;
}

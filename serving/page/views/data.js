// The listener's data: download it, or erase it for good; and the switch for developers.
import * as api from "../base.js";
import { Icon } from "../parts.js";
import { useSession } from "../player.js";
import { html, useEffect, useRef, useState } from "../vendor/preact.mjs";

function save(answer, name) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(answer, null, 2)], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function Confirm({ onCancel }) {
  const { userId, texts, onErased, onError } = useSession();
  const [isErasing, setErasing] = useState(false);
  const cancel = useRef(null);
  useEffect(() => cancel.current.focus(), []);
  const erase = () => {
    setErasing(true);
    api.eraseData(userId).then(onErased, (error) => {
      setErasing(false);
      onError(error);
    });
  };
  return html`<div class="confirm" role="alertdialog" aria-labelledby="erase" aria-describedby="erase-text" onKeyDown=${(event) => event.key === "Escape" && onCancel()}>
    <p id="erase-text">${texts.eraseConfirm}</p>
    <div class="buttons">
      <button type="button" class="pill" ref=${cancel} onClick=${onCancel}>${texts.cancel}</button>
      <button type="button" class="pill main" disabled=${isErasing} onClick=${erase}>${texts.eraseForGood}</button>
    </div>
  </div>`;
}

export function Data({ isDeveloper, onDeveloper }) {
  const { userId, texts, onError } = useSession();
  const [isCollecting, setCollecting] = useState(false);
  const [isConfirming, setConfirming] = useState(false);
  const download = () => {
    setCollecting(true);
    api.exportData(userId).then((answer) => save(answer, `segue-${userId}.json`), onError).finally(() => setCollecting(false));
  };
  return html`<h2>${texts.yourData}</h2>
    <ul class="data">
      <li><span class="private-mark" aria-hidden="true"><${Icon} name="download" /></span>
        <div><h3>${texts.download}</h3><p class="hint">${texts.downloadHint}</p></div>
        <button type="button" class="pill" disabled=${isCollecting} aria-label=${texts.download} onClick=${download}>${isCollecting ? texts.downloading : texts.downloadButton}</button></li>
      <li><span class="private-mark is-danger" aria-hidden="true"><${Icon} name="erase" /></span>
        <div><h3 id="erase">${texts.erase}</h3><p class="hint">${texts.eraseHint}</p></div>
        ${!isConfirming && html`<button type="button" class="pill" aria-label=${texts.erase} onClick=${() => setConfirming(true)}>${texts.eraseButton}</button>`}
        ${isConfirming && html`<${Confirm} onCancel=${() => setConfirming(false)} />`}</li>
      <li><span class="private-mark" aria-hidden="true"><${Icon} name="developer" /></span>
        <div><h3 id="developer">${texts.developer}</h3><p class="hint">${texts.developerHint} <a class="link" href="./docs">${texts.api}</a></p></div>
        <button type="button" class="switch" role="switch" aria-checked=${isDeveloper} aria-labelledby="developer" onClick=${onDeveloper}><span></span></button></li>
    </ul>`;
}

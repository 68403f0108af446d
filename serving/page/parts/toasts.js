// Short messages at the bottom, with one action at most.
import { useState } from "preact/hooks";
import { html } from "../html.js";

const SHOWN_MS = 8_000;
let number = 0;

// `[toasts, toast]`: what is shown, and a function that shows a text.
export function useToasts() {
  const [shown, setShown] = useState([]);
  const close = (key) => setShown((all) => all.filter((one) => one.key !== key));
  const toast = (text, action, act) => {
    number += 1;
    const key = number;
    setShown((all) => [...all.slice(-2), { key, text, action, act }]);
    setTimeout(() => close(key), SHOWN_MS);
  };
  return [{ shown, close }, toast];
}

export function Toasts({ toasts }) {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.shown.map(
      (one) => html`<div class="toast" key=${one.key}><span>${one.text}</span>${one.action &&
        html`<button type="button" onClick=${() => {
          toasts.close(one.key);
          one.act();
        }}>${one.action}</button>`}</div>`,
    )}
  </div>`;
}


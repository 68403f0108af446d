// Menu behind a button with three dots; closes on a choice, on Escape and on a click elsewhere.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "./icons.js";

export function Menu({ label, items }) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef(null);
  const button = useRef(null);
  const close = () => setOpen(false);
  useEffect(() => {
    if (!isOpen) return undefined;
    const onPointer = (event) => root.current.contains(event.target) || close();
    const onKey = (event) => {
      if (event.key === "Escape") {
        close();
        button.current.focus();
      }
      const all = [...root.current.querySelectorAll("[role=menuitem]")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
    };
    const list = root.current.querySelector(".menu");
    // Opens upwards if there is no room below.
    list.classList.toggle("is-up", list.getBoundingClientRect().bottom > window.innerHeight - 150);
    root.current.querySelector("[role=menuitem]").focus();
    document.addEventListener("pointerdown", onPointer);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", onPointer);
      document.removeEventListener("keydown", onKey);
    };
  }, [isOpen]);
  const choose = (item) => () => {
    close();
    item.act?.();
  };
  return html`<div class="menu-of" ref=${root}>
    <button type="button" class="plain" ref=${button} aria-label=${label} aria-haspopup="menu" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>
      <${Icon} name="more" />
    </button>
    ${isOpen &&
    html`<ul class="menu" role="menu" aria-label=${label}>
      ${items.map((item) => html`<li role="none" key=${item.text}>${item.href
        ? html`<a role="menuitem" tabindex="-1" href=${item.href} target=${item.target} rel=${item.target && "noreferrer"} onClick=${choose(item)}><${Icon} name=${item.icon} />${item.text}</a>`
        : html`<button type="button" role="menuitem" tabindex="-1" onClick=${choose(item)}><${Icon} name=${item.icon} />${item.text}</button>`}
      </li>`)}
    </ul>`}
  </div>`;
}

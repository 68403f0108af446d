// Panel at the side, on a phone from the bottom; Escape closes it, and the focus goes back to where it was.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "./icons.js";

export function Drawer({ title, closeLabel, onClose, class: name = "", children }) {
  const root = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    root.current.focus();
    const onKey = (event) => event.key === "Escape" && !event.defaultPrevented && !document.querySelector(".menu") && onClose();
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("keydown", onKey);
      before?.focus?.();
    };
  }, []);
  return html`<aside class=${`drawer ${name}`} role="dialog" aria-label=${title} tabindex="-1" ref=${root}>
    <header><h2>${title}</h2><button type="button" class="plain" aria-label=${closeLabel} onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class="drawer-body">${children}</div>
  </aside>`;
}

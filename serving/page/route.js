// The part of the page that the address names after "#": a view and its parameters.
import { useEffect, useState } from "preact/hooks";

const read = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

export const address = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

export function useRoute() {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const onChange = () => {
      setRoute(read());
      window.scrollTo(0, 0);
    };
    window.addEventListener("hashchange", onChange);
    return () => window.removeEventListener("hashchange", onChange);
  }, []);
  return route;
}

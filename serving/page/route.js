// The part of the page that the address names after "#": a view and its parameters.
import { useEffect, useState } from "preact/hooks";

// A part that is not percent-encoded, such as one that was typed, is taken as it is.
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const read = () => location.hash.replace(/^#\/?/, "").split("/").map(decode);

export const address = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

// Where a listener finds a song outside of Segue: its own URL, or a search of the web for its title and artists.
export function externalAddress(track) {
  if (track.audio_url?.startsWith("https:")) return track.audio_url;
  const words = [track.title, ...track.artists].filter(Boolean).join(" ");
  return words && `https://duckduckgo.com/?q=${encodeURIComponent(words)}`;
}

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

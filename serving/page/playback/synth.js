// A short piece of music made from a track's id and facets, for tracks without audio.
import { hash } from "../parts/cover.js";

export const SYNTH_MS = 12_000;
const BARS = 4;
const CHORDS = [
  [0, 4, 7],
  [9, 12, 16],
  [5, 9, 12],
  [7, 11, 14],
  [2, 5, 9],
  [4, 7, 11],
];
const CALM = new Set(["quiet", "night", "nap", "light music", "piano", "healing", "relaxed", "classical", "new age", "sad", "lonely"]);

const frequency = (semitone) => 220 * 2 ** (semitone / 12);

function note(context, output, type, semitone, start, length, volume) {
  const oscillator = new OscillatorNode(context, { type, frequency: frequency(semitone) });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.linearRampToValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(volume, start + 0.02);
  gain.gain.exponentialRampToValueAtTime(0.001, start + length);
  oscillator.connect(gain).connect(output);
  oscillator.start(start);
  oscillator.stop(start + length);
}

// The samples of the piece; the same for the same track.
export function compose(track) {
  const seconds = SYNTH_MS / 1000;
  const context = new OfflineAudioContext(1, seconds * 22_050, 22_050);
  const filter = new BiquadFilterNode(context, { type: "lowpass", frequency: 2_400 });
  filter.connect(context.destination);
  const number = hash(track.track_id);
  const isCalm = (track.facets || []).some((facet) => CALM.has(facet));
  const key = (number % 12) - 6;
  const steps = isCalm ? 4 : 8;
  const bar = seconds / BARS;
  for (let place = 0; place < BARS; place += 1) {
    const chord = CHORDS[(number >>> (place * 3)) % CHORDS.length];
    chord.forEach((tone) => note(context, filter, "sine", key + tone, place * bar, bar, 0.12));
    note(context, filter, "triangle", key + chord[0] - 12, place * bar, bar, 0.2);
    for (let step = 0; step < steps; step += 1) {
      const tone = chord[(number >>> ((step + place) % 16)) % chord.length] + 12;
      note(context, filter, isCalm ? "sine" : "triangle", key + tone, place * bar + (step * bar) / steps, bar / 2, 0.1);
    }
  }
  return context.startRendering();
}

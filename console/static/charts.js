// Charts of the console with uPlot, and the state of the first page.
"use strict";
(() => {
  const POLL_MS = 5000;
  const DAY_S = 86400;
  const DAY_STEPS = [1, 2, 3, 7, 14, 28, 91, 182, 364]; // days between two ticks
  const MINUTE_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
  const COLORS = ["--series-1", "--series-2", "--series-3", "--series-4"]; // variables of the style sheet
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const resolved = (name) => { // light-dark() of the style sheet as a color that a canvas accepts
    const probe = document.createElement("span");
    probe.style.color = style(name);
    document.body.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  };
  const formatter = (unit) => (value) => value == null ? "–"
    : unit === "%" ? `${Number((value * 100).toPrecision(3))} %` : `${Number(value.toPrecision(3))}${unit ? ` ${unit}` : ""}`;

  // "2026-07-01", with the time of the day unless it is midnight.
  const moment = (time) => (time == null ? "" : new Date(time * 1000).toISOString().slice(0, time % DAY_S ? 19 : 10).replace("T", " "));

  function draw(element, times, names, values) {
    element.replaceChildren();
    const format = formatter(element.dataset.unit);
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { font, stroke: resolved("--soft"), grid: { stroke: resolved("--line"), width: 1 }, ticks: { stroke: resolved("--line") } };
    const isSingle = times.at(-1) === times[0];
    const isShort = !isSingle && times.at(-1) - times[0] < 2 * DAY_S;
    const steps = isShort ? MINUTE_STEPS.map((minutes) => minutes * 60) : DAY_STEPS.map((days) => days * DAY_S);
    const tick = new Intl.DateTimeFormat("en-US", { timeZone: "UTC", ...(isShort ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { month: "short", day: "numeric" }) });
    const timeAxis = { ...axis, values: (_, ticks) => ticks.map((time) => tick.format(time * 1000)), incrs: steps };
    const options = {
      width: element.clientWidth, height: 200, cursor: { y: false }, legend: { live: true },
      tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
      scales: { x: { range: (_, first, last) => (isSingle ? [times[0] - DAY_S, times[0] + DAY_S] : [first, last]) }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
      axes: [timeAxis, { ...axis, size: 70, values: (_, ticks) => ticks.map(format) }],
      series: [{ label: "UTC", value: (_, time) => moment(time) }, ...names.map((name, index) => ({
        label: name, stroke: resolved(COLORS[index % COLORS.length]), width: 2, spanGaps: true, value: (_, value) => (value == null ? "" : format(value)),
        points: { show: times.length < 60 },
      }))],
    };
    return new uPlot(options, [times, ...values], element);
  }

  const seconds = (label) => Date.parse(label.length > 10 ? `${label}Z` : label) / 1000;
  function drawAll() {
    for (const element of document.querySelectorAll(".chart[data-labels]")) {
      const { labels, lines, values } = element.dataset;
      draw(element, JSON.parse(labels).map(seconds), JSON.parse(lines), JSON.parse(values));
    }
  }

  // The first page: its sentence and live values. Values that can no longer be read are removed, since they are not the present ones.
  async function poll(state) {
    try {
      const response = await fetch("/state");
      if (!response.ok) throw new Error(String(response.status));
      state.innerHTML = await response.text();
    } catch (error) {
      state.innerHTML = '<h1 id="verdict" class="bad"></h1>';
      state.firstChild.textContent = `Not well: the console does not answer (${error.message}).`;
    }
    setTimeout(poll, POLL_MS, state);
  }

  addEventListener("DOMContentLoaded", () => {
    drawAll();
    const state = document.getElementById("state");
    if (state) setTimeout(poll, POLL_MS, state);
  });
  addEventListener("resize", drawAll);
})();

// Draws the charts, shows times in the zone of whoever looks, and asks for the page again while somebody does.
"use strict";
(() => {
  const REFRESH_MS = 5000;
  const STROKES = ["--ml-reference", "--ml-current", "--ml-threshold", "--ml-good", "--ml-muted"];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";

  const told = (unit) => (value) => {
    if (value == null) return "–";
    const short = (one) => String(Number(one.toPrecision(3)));
    if (unit === "%") return short(value * 100) + " %";
    if (unit === "s") return value < 1 ? short(value * 1000) + " ms" : short(value) + " s";
    return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString() : short(value);
  };

  // As whoever looks writes times, and the day where it changes; uPlot's own are written as in one country.
  const written = (parts) => { const format = new Intl.DateTimeFormat([], parts); return (tick) => format.format(tick * 1000); };
  const day = written({ day: "numeric", month: "short" });
  const minute = written({ hour: "2-digit", minute: "2-digit" });
  const second = written({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const moments = (_, ticks, axis, space, step) => ticks.map((tick, index) => {
    if (step >= 86400) return day(tick);
    const isNew = index === 0 || day(ticks[index - 1]) !== day(tick);
    return (step < 60 ? second : minute)(tick) + (isNew ? "\n" + day(tick) : "");
  });

  function draw(place) {
    const times = JSON.parse(place.dataset.times).map((nano) => nano / 1e9);
    const series = JSON.parse(place.dataset.series);
    const thresholds = JSON.parse(place.dataset.thresholds || "[]");
    const value = told(place.dataset.unit);
    if (!times.length || !series.some((line) => line.values.some((one) => one != null))) return;
    const lines = series.map((line, index) => ({
      label: line.label, stroke: colour(STROKES[index % STROKES.length]), width: 1.75, spanGaps: false,
      points: { show: times.length < 40, size: 5 }, value: (_, one) => value(one),
      ...(place.dataset.kind === "bars" ? { paths: uPlot.paths.bars({ size: [0.8, 40], align: 1 }), points: { show: false }, fill: colour(STROKES[index % STROKES.length]) } : {}),
    }));
    const levels = thresholds.map((one) => ({
      label: one.label, stroke: colour("--ml-alert"), width: 1, dash: one.dash || [6, 4],
      points: { show: false }, value: (_, found) => value(found),
    }));
    const axis = { stroke: colour("--ml-muted"), grid: { stroke: colour("--ml-line"), width: 1 }, ticks: { stroke: colour("--ml-line") } };
    place.replaceChildren();
    const all = [...series.map((line) => line.values), ...thresholds.map((one) => one.values || times.map(() => one.value))];
    const plot = new uPlot({
      width: Math.max(place.clientWidth, 200), height: 150, legend: { show: series.length + levels.length > 1, live: true },
      cursor: { drag: { x: false, y: false } },
      // Where nobody points, the legend tells the last values.
      hooks: { setCursor: [(one) => { if (one.cursor.idx == null) one.setLegend({ idx: times.length - 1 }); }] },
      // A bar begins at its time, so the last one needs room.
      scales: { x: { range: (_, low, high) => [low, high + (place.dataset.kind === "bars" && times.length > 1 ? times[1] - times[0] : 0)] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? high * 1.08 : 1] } },
      series: [{}, ...lines, ...levels],
      axes: [{ ...axis, space: 72, values: moments }, { ...axis, size: 62, values: (_, ticks) => ticks.map(value) }],
    }, [times, ...all], place);
    plot.setLegend({ idx: times.length - 1 });
    place.plot = plot;
  }

  function show(root) {
    root.querySelectorAll("time[datetime]").forEach((time) => {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.valueOf())) { time.title = time.textContent; time.textContent = moment.toLocaleString(); }
    });
    root.querySelectorAll(".plot").forEach(draw);
  }

  let writing = false;
  document.addEventListener("focusin", (event) => { writing = event.target.matches("input, select, textarea"); });
  document.addEventListener("focusout", () => { writing = false; });
  document.addEventListener("DOMContentLoaded", () => {
    show(document);
    setInterval(() => {
      const main = document.getElementById("content");
      if (!document.hidden && !writing && main && main.hasAttribute("hx-get")) htmx.trigger(main, "refresh");
    }, REFRESH_MS);
  });
  // What was scrolled to, opened or about to be followed stays so, though it is drawn anew.
  const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";
  let places = [], opened = [], focused = null;
  document.addEventListener("htmx:beforeSwap", () => {
    const main = document.getElementById("content");
    places = [...document.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    opened = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
    const all = [...main.querySelectorAll(FOCUSABLE)], place = all.indexOf(document.activeElement);
    focused = place < 0 ? null : { place, address: all[place].getAttribute("href") };
    // The page must not get shorter while its charts are not drawn yet.
    main.parentElement.style.minHeight = document.documentElement.scrollHeight + "px";
  });
  document.addEventListener("htmx:afterSettle", () => {
    const main = document.getElementById("content");
    show(main);
    document.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = places[index] || 0; });
    opened.forEach((id) => { const details = document.getElementById(id); if (details) details.open = true; });
    if (focused && !main.contains(document.activeElement)) {
      const all = [...main.querySelectorAll(FOCUSABLE)], { place, address } = focused;
      const same = all[place] && all[place].getAttribute("href") === address ? all[place]
        : all.find((one) => address && one.getAttribute("href") === address);
      if (same) same.focus({ preventScroll: true });
    }
    main.parentElement.style.minHeight = "";
    const updated = document.getElementById("updated");
    if (updated) updated.textContent = new Date().toLocaleTimeString();
  });
  let resizing;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => document.querySelectorAll(".plot").forEach(
      (place) => place.plot && place.plot.setSize({ width: Math.max(place.clientWidth, 200), height: 150 })), 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.querySelectorAll(".plot").forEach(draw));
})();

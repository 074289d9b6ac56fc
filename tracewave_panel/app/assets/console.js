/* What the page's scripts and the components share: safe elements, words, and the theme. */
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  // Text reaches the page only here, through textContent: the feed's words are hostile.
  const element = (tag, className = "", text = "") => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== "") made.textContent = text;
    return made;
  };

  // Only http(s) addresses become links; any other is words alone.
  const anchor = (text, address) => {
    if (!/^https?:\/\//i.test(address)) return element("span", "", text);
    const made = element("a", "", text);
    made.href = address;
    made.target = "_blank";
    made.rel = "noopener noreferrer nofollow";
    return made;
  };

  const drawing = (size, box, ...paths) => {
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({width: size, height: size, viewBox: `0 0 ${box} ${box}`, "aria-hidden": "true"}))
      svg.setAttribute(name, value);
    for (const path of paths) {
      const shape = svg.appendChild(document.createElementNS(SVG, "path"));
      for (const [name, value] of Object.entries({fill: "none", ...path})) shape.setAttribute(name, value);
    }
    return svg;
  };

  const SEVERITY = {
    critical: {d: "M6 1L11 6 6 11 1 6Z", fill: "currentColor"},
    warning: {d: "M6 1L11 10.2H1Z", fill: "currentColor"},
    info: {d: "M6 2.2a3.8 3.8 0 1 1 0 7.6a3.8 3.8 0 1 1 0-7.6Z", stroke: "currentColor", "stroke-width": 2},
  };
  const severityMark = (severity, size = 12) => drawing(size, 12, SEVERITY[severity] ?? SEVERITY.info);

  // A status word has a shape of its own: colour alone says nothing to everybody.
  const STATUS = {
    LIVE: {d: "M5 1a4 4 0 1 1 0 8a4 4 0 1 1 0-8Z", fill: "currentColor"},
    REPLAY: {d: "M2 1l7 4-7 4Z", fill: "currentColor"},
    SIMULATED: {d: "M5 1.6a3.4 3.4 0 1 1 0 6.8a3.4 3.4 0 1 1 0-6.8Z", stroke: "currentColor", "stroke-width": 1.6, "stroke-dasharray": "2 1.5"},
    CATCHING: {d: "M1 1l4 4-4 4ZM5 1l4 4-4 4Z", fill: "currentColor"},
    RECONNECTING: {d: "M5 1.2A3.8 3.8 0 1 1 1.2 5", stroke: "currentColor", "stroke-width": 1.8},
    GAP: {d: "M1 9L9 1M1 5l4-4M5 9l4-4", stroke: "currentColor", "stroke-width": 1.5},
    STALE: {d: "M5 .8L9.6 9H.4Z", stroke: "currentColor", "stroke-width": 1.6},
    OFFLINE: {d: "M1.5 1.5l7 7M8.5 1.5l-7 7", stroke: "currentColor", "stroke-width": 1.9},
    ENDED: {d: "M1.5 1.5h7v7h-7Z", fill: "currentColor"},
  };
  const statusMark = (word) => drawing(10, 10, STATUS[word.split(" ")[0]] ?? STATUS.RECONNECTING);

  const pad = (number) => String(Math.floor(number)).padStart(2, "0");
  const clock = (milliseconds) => new Date(milliseconds).toISOString().slice(11, 19);
  const day = (milliseconds) => new Date(milliseconds).toLocaleDateString("en-GB", {timeZone: "UTC", day: "numeric", month: "short"});
  const length = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${pad((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };
  const figure = (value) =>
    Number.isFinite(value) ? (Math.abs(value) < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en")) : "–";

  // How rare, from the days between two ordinary episodes like it; nothing where that is not known.
  const times = (number, unit) => (number < 1.5 ? `once ${unit}` : `${Math.round(number)} times ${unit}`);
  const rarity = (days) => {
    if (!(days > 0)) return "";
    if (days >= 36_525) return "less than once in 100 years";
    if (days >= 730) return `once in ${Math.round(days / 365.25)} years`;
    if (days >= 60) return `once in ${Math.round(days / 30.44)} months`;
    if (days >= 1.5) return `once in ${Math.round(days)} days`;
    if (days >= 1 / 24) return times(1 / days, "a day");
    return days >= 1 / 1440 ? times(1 / (24 * days), "an hour") : "ordinary";
  };
  const provisional = () => {
    const mark = element("abbr", "provisional", "provisional");
    mark.title = "This feed has no reference of its own yet: chances are a safe default";
    mark.tabIndex = 0;
    return mark;
  };

  const announce = (name, detail) => window.dispatchEvent(new CustomEvent(`tracewave:${name}`, {detail}));
  // A listener of a component lets go when its element has left the page.
  const listen = (name, node, heard) => {
    const listener = (event) => (node.isConnected ? heard(event.detail) : window.removeEventListener(`tracewave:${name}`, listener));
    setTimeout(() => window.addEventListener(`tracewave:${name}`, listener), 0);
  };

  /* Theme: dark unless the system or the person says light. */
  const root = document.documentElement;
  const light = window.matchMedia("(prefers-color-scheme: light)");
  const chosen = () => {
    const asked = new URLSearchParams(location.search).get("theme");
    if (asked === "dark" || asked === "light") return asked;
    try { return localStorage.getItem("tracewave-theme"); } catch { return null; }
  };
  const apply = () => {
    const theme = chosen() ?? (light.matches ? "light" : "dark");
    root.dataset.theme = theme;
    announce("theme", theme);
  };
  apply();
  light.addEventListener("change", apply);
  // Once: es-module-shims, which Panel loads, announces the same event a second time.
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const next = root.dataset.theme === "light" ? "dark" : "light";
      tw.url.set({theme: null});
      try { localStorage.setItem("tracewave-theme", next); } catch { /* a private window keeps it for this page only */ }
      root.dataset.theme = next;
      announce("theme", next);
    });
  }, {once: true});

  // Canvas knows no CSS variables: models carry their tokens in tags (theme.paint) and are set again here.
  const repaint = (bokehDocument) => {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    for (const model of bokehDocument._all_models.values())
      for (const tag of model.tags ?? []) {
        const tokens = tag instanceof Map ? tag.get("paint") : tag.paint;
        if (tokens === undefined) continue;
        const entries = tokens instanceof Map ? [...tokens] : Object.entries(tokens);
        const values = entries.map(([name, value]) => [name, Array.isArray(value) ? value.map(colour) : colour(value)]);
        model.setv(Object.fromEntries(values), {sync: false});
      }
  };

  const tw = window.tracewave = {element, anchor, drawing, severityMark, statusMark, clock, day, length, figure, rarity, provisional, announce, listen, repaint, row: null, rowAt: performance.now(), server: null, status: null};
})();

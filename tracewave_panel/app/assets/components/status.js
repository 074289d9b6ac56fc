// The server's word about the source, unless this page knows better: the server is gone, or rows stopped coming.
const SHAPES = {
  LIVE: {d: "M5 1a4 4 0 1 1 0 8a4 4 0 1 1 0-8Z", fill: "currentColor"},
  REPLAY: {d: "M2 1l7 4-7 4Z", fill: "currentColor"},
  SIMULATED: {d: "M5 1.6a3.4 3.4 0 1 1 0 6.8a3.4 3.4 0 1 1 0-6.8Z", stroke: "currentColor", "stroke-width": 1.6, "stroke-dasharray": "2 1.5"},
  CATCHING: {d: "M1 1l4 4-4 4ZM5 1l4 4-4 4Z", fill: "currentColor"},
  GAP: {d: "M1 9L9 1M1 5l4-4M5 9l4-4", stroke: "currentColor", "stroke-width": 1.5},
  STALE: {d: "M5 .8L9.6 9H.4Z", stroke: "currentColor", "stroke-width": 1.6},
  OFFLINE: {d: "M1.5 1.5l7 7M8.5 1.5l-7 7", stroke: "currentColor", "stroke-width": 1.9},
  ENDED: {d: "M1.5 1.5h7v7h-7Z", fill: "currentColor"},
};
const ARC = {d: "M5 1.2A3.8 3.8 0 1 1 1.2 5", stroke: "currentColor", "stroke-width": 1.8};
const STALE_AFTER = 10; // seconds without a window, where the source claims to run
const RUNS = ["LIVE", "REPLAY", "SIMULATED", "CATCHING"];

export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const line = element("div", "line");
  const feed = element("div", "feed"), badge = element("span", "badge");
  feed.append(element("span", "", model.feed), badge);
  const rate = element("b", "", "–"), open = element("b", "", "0"), rateBox = element("span", "kv"), openBox = element("span", "kv");
  rateBox.append(rate, element("span", "unit", model.unit));
  const chip = element("span", "status"), word = element("span"), note = element("i", "el");
  chip.setAttribute("role", "status");
  line.append(feed, element("span", "sp"), rateBox, openBox, chip);

  const verdict = () => {
    const quiet = Math.floor((performance.now() - tw.rowAt) / 1000);
    const {link} = tw;
    if (link.lost) {
      const back = link.reloadAt === null ? "It comes back by itself." : `It answers again; this page comes back in ${Math.max(0, Math.ceil((link.reloadAt - Date.now()) / 1000))} s.`;
      return {word: "OFFLINE", tone: "bad", note: `since ${tw.clock(link.since)}`, banner: `The server is gone since ${tw.clock(link.since)} UTC. ${back}`};
    }
    if (quiet >= STALE_AFTER && RUNS.includes(model.word.split(" ")[0])) {
      const from = tw.row ? `The figures below are from ${tw.clock(tw.row.end)} UTC.` : "";
      return {word: "STALE", tone: "bad", note: `no window for ${tw.length(quiet)}`, banner: `No window for ${tw.length(quiet)}, while the source says "${model.word.toLowerCase()}". ${from}`};
    }
    return {word: model.word, tone: model.tone, note: model.note, banner: model.notice, calm: true};
  };
  const banner = document.getElementById("banner");
  let said = "";
  const show = () => {
    const now = verdict();
    badge.textContent = model.origin;
    badge.className = `badge ${model.origin.toLowerCase()}`;
    badge.hidden = model.origin === now.word;
    open.textContent = String(model.open);
    openBox.replaceChildren(...(model.open > 0 ? [tw.severityMark(model.worst, 11)] : []), open, element("span", "", "open"));
    openBox.querySelector("svg")?.classList.add(model.worst);
    if (said !== now.word + now.note) {
      said = now.word + now.note;
      chip.className = `status ${now.tone}`;
      word.textContent = now.word;
      note.textContent = now.note;
      note.title = now.note;
      chip.replaceChildren(tw.drawing(10, 10, SHAPES[now.word.split(" ")[0]] ?? ARC), word, ...(now.note ? [note] : []));
    }
    banner.hidden = now.banner === "";
    banner.classList.toggle("calm", now.calm === true);
    banner.querySelector("b").textContent = now.word;
    banner.querySelector("span").textContent = now.banner;
    const waiting = document.querySelector("#waiting span");
    if (tw.row === null && waiting) waiting.textContent = `${model.note || "The source has not spoken yet"}. Waiting for ${tw.length((performance.now() - begun) / 1000)}; the first window is told when its time is over.`;
  };
  const begun = performance.now();
  model.on(["word", "tone", "note", "notice", "origin", "open", "worst"], show);
  model.on("reload", () => location.reload());
  tw.listen("second", line, show);
  tw.listen("row", line, ({last}) => { rate.textContent = tw.figure(last.feature_0); show(); });
  if (tw.row) rate.textContent = tw.figure(tw.row.feature_0);
  show();
  return line;
}

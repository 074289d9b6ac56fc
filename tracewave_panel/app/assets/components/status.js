// The server's word about the source, unless this page knows better: the server is gone, or rows stopped coming.
const STALE_AFTER = 10; // seconds without a window, where the source claims to run
const RUNS = ["LIVE", "REPLAY", "SIMULATED", "CATCHING"];

export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const line = element("div", "line");
  const badge = document.getElementById("origin") ?? element("span");
  let told = tw.told.header ?? JSON.parse(model.header);
  const rate = element("b", "", "–"), open = element("b", "", "0"), rateBox = element("span", "kv"), openBox = element("span", "kv");
  rateBox.append(rate, element("span", "unit", model.unit));
  const chip = element("span", "status"), word = element("span"), note = element("i", "el");
  chip.setAttribute("role", "status");
  line.append(element("span", "sp"), rateBox, openBox, chip);

  const verdict = () => {
    const quiet = Math.floor((performance.now() - tw.rowAt) / 1000);
    const {link} = tw;
    if (link.lost) {
      const back = link.reloadAt === null ? "It comes back by itself." : `It answers again; this page comes back in ${Math.max(0, Math.ceil((link.reloadAt - Date.now()) / 1000))} s.`;
      return {word: "OFFLINE", tone: "bad", note: `since ${tw.clock(link.since)}`, banner: `The server is gone since ${tw.clock(link.since)} UTC. ${back}`};
    }
    if (quiet >= STALE_AFTER && RUNS.includes(told.word.split(" ")[0])) {
      const from = tw.row ? `The figures below are from ${tw.clock(tw.row.end)} UTC.` : "";
      return {word: "STALE", tone: "bad", note: `no window for ${tw.length(quiet)}`, banner: `No window for ${tw.length(quiet)}, while the source says "${told.word.toLowerCase()}". ${from}`};
    }
    return {word: told.word, tone: told.tone, note: told.note, banner: told.notice, calm: true};
  };
  const banner = document.getElementById("banner");
  let said = "";
  const show = () => {
    const now = verdict();
    badge.textContent = told.origin;
    badge.className = `badge ${told.origin.toLowerCase()}`;
    badge.hidden = told.origin === now.word;
    open.textContent = String(told.open);
    openBox.replaceChildren(...(told.open > 0 ? [tw.severityMark(told.worst, 11)] : []), open, element("span", "", "open"));
    openBox.querySelector("svg")?.classList.add(told.worst);
    if (said !== now.word + now.note) {
      said = now.word + now.note;
      chip.className = `status ${now.tone}`;
      word.textContent = now.word;
      word.title = now.word;
      note.textContent = now.note;
      note.title = now.note;
      tw.status = now;
      tw.announce("status", now);
      chip.replaceChildren(tw.statusMark(now.word), word, ...(now.note ? [note] : []));
    }
    banner.hidden = now.banner === "";
    banner.classList.toggle("calm", now.calm === true);
    banner.querySelector("b").textContent = now.word;
    banner.querySelector("span").textContent = now.banner;
    const waiting = document.querySelector("#waiting span");
    if (tw.row === null && waiting) waiting.textContent = `${told.note || "The source has not spoken yet"}. Waiting for ${tw.length((performance.now() - begun) / 1000)}; the first window is told when its time is over.`;
  };
  const begun = performance.now();
  tw.listen("header", line, (header) => { told = header; show(); });
  tw.listen("second", line, show);
  tw.listen("row", line, ({last}) => { rate.textContent = tw.figure(last.feature_0); show(); });
  if (tw.row) rate.textContent = tw.figure(tw.row.feature_0);
  show();
  return line;
}

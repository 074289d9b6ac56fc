// The Health page. `now` comes every second, `past` every ten, `told` when there is something new.
const STATUS = [
  ["LIVE", "live", "Within seconds of the feed"],
  ["REPLAY", "calm", "A recording is playing, here ten times as fast", " 10x"],
  ["SIMULATED", "calm", "A made-up stream, and it says so"],
  ["CATCHING UP", "warn", "Back, and reading what it missed"],
  ["RECONNECTING", "warn", "Cut off, and trying again"],
  ["GAP", "warn", "Cut off for so long that seconds are lost"],
  ["STALE", "bad", "No window for ten seconds"],
  ["OFFLINE", "bad", "The server of this page is gone"],
];
const CHARTS = [
  {id: "in", title: "Throughput", least: 5, empty: "No event has come yet.", spoken: "events a second", lines: [{name: "in", colour: "--live", width: 1.4}, {name: "windowed", colour: "--text-2", width: 1}]},
  {id: "lag", title: "Lag", unit: "s", log: true, least: 1, empty: "No event has told its lag yet.", spoken: "seconds", lines: [{name: "median", colour: "--live", width: 1.5}, {name: "95th", colour: "--d-z", width: 1.1}, {name: "99th", colour: "--text-2", width: 1.1}]},
  {id: "window", title: "Window time", unit: "ms", log: true, bar: true, least: 3, empty: "No window has closed yet.", spoken: "milliseconds", lines: [{name: "median", colour: "--live", width: 1.5}, {name: "99th", colour: "--text-2", width: 1.1}]},
];
const LEVELS = {CRITICAL: "critical", ERROR: "critical", WARNING: "warning"};
const HEADS = [["time"], ["what"], ["length", "r"], ["filled in", "r minor"], ["lost", "r"], ["partial", "r minor"], ["told", "minor"]];

const read = (text) => (text ? JSON.parse(text) : null);

export function render({model}) {
  const tw = window.tracewave;
  const {element} = tw;
  const page = element("div", "health");
  const titled = (className, title) => {
    const panel = element("section", `panel ${className}`), head = element("div", "ph"), side = element("span", "q n");
    head.append(element("h3", "t", title), element("span", "sp"), side);
    panel.append(head);
    return {panel, side, head};
  };

  /* Charts */
  const charts = CHARTS.map((spec) => chart(tw, spec));
  page.append(...charts.map(({panel}) => panel));

  /* Status words */
  const strip = element("section", "panel words"), lead = element("div", "lead"), leadNote = element("p", "", "what each one means");
  strip.setAttribute("aria-label", "Status words");
  lead.append(element("h3", "t", "Status words"), leadNote);
  strip.append(lead);
  const words = STATUS.map(([word, tone, meaning, more = ""]) => {
    const cell = element("div", "cell"), chip = element("span", `status ${tone}`), line = element("p", "", meaning), here = element("span", "here", "now");
    chip.append(tw.statusMark(word), element("span", "", word + more));
    here.hidden = true;
    const top = element("div", "top");
    top.append(chip, here);
    cell.append(top, line);
    strip.append(cell);
    return {word, cell, here};
  });
  page.append(strip);
  // The header has the word that holds, STALE and OFFLINE among them.
  const showWord = (said) => {
    if (!said) return;
    const known = words.find((each) => said.word.startsWith(each.word));
    for (const each of words) {
      each.here.hidden = each !== known;
      each.cell.classList.toggle("on", each === known);
      if (each === known) each.cell.setAttribute("aria-current", "true");
      else each.cell.removeAttribute("aria-current");
    }
    leadNote.textContent = known ? "what each one means" : `now ${said.word}`;
  };

  /* Figures */
  const panels = [0, 1, 2].map(() => { const made = titled("figures", ""); page.append(made.panel); return {...made, rows: []}; });
  const newRow = () => {
    const row = element("div", "mt"), name = element("b"), meaning = element("p"), spark = element("div", "sk"), value = element("div", "v n");
    row.append(name, meaning, spark, value);
    return {row, name, meaning, spark, value, shown: ""};
  };
  let sparks = null;
  const showSpark = (each, fields, values) => drawSpark(each.spark, values, fields[4] === "growth", fields[6], "");
  const showFigures = (now) => {
    now.panels.forEach(([title, rows], at) => {
      const panel = panels[at];
      panel.head.querySelector("h3").textContent = title;
      panel.side.textContent = `totals of ${now.day ? "24 h" : now.up}`;
      while (panel.rows.length > rows.length) panel.rows.pop().row.remove();
      while (panel.rows.length < rows.length) { const made = newRow(); panel.panel.append(made.row); panel.rows.push(made); }
      rows.forEach((fields, place) => {
        const each = panel.rows[place], said = JSON.stringify(fields);
        if (each.shown === said) return;
        const [name, meaning, value, unit, , , over, absent] = fields;
        const isNew = each.shown === "" || each.fields[0] !== name || each.fields[6] !== over;
        each.shown = said;
        each.fields = fields;
        each.name.textContent = name;
        each.meaning.textContent = meaning;
        each.row.className = `mt${over ? " over" : ""}${absent ? " absent" : ""}`;
        const figure = element("span", "", value);
        each.value.replaceChildren(...(over ? [tw.severityMark("warning", 11)] : []), figure, ...(unit && value !== "–" ? [element("small", "", unit)] : []));
        if (over) each.value.append(element("span", "sr", ", over its bar"));
        if (isNew) showSpark(each, fields, sparks?.[at]?.[place] ?? []);
      });
    });
  };

  /* What happened, and the lags */
  const happened = titled("happened", "What happened to the feed"), table = element("table"), body = element("tbody"), top = element("tr"), quiet = element("p", "none", "The feed was not cut off and did not stall.");
  for (const [name, className = ""] of HEADS) { const cell = element("th", className, name); cell.scope = "col"; top.append(cell); }
  const head = element("thead");
  head.append(top);
  table.append(head, body);
  const scroll = element("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "What happened to the feed");
  scroll.append(table, quiet);
  happened.panel.append(scroll);
  const lags = titled("lags", "Lag of the last 10,000 events"), histogramRoom = element("div", "room");
  lags.panel.append(histogramRoom);
  const log = titled("log", "Log"), lines = element("ol", "scroll lines");
  lines.tabIndex = 0;
  lines.setAttribute("aria-label", "Log, newest first");
  log.side.textContent = "warnings, and what Tracewave tells; newest first";
  log.panel.append(lines);
  const notices = noticesPanels(tw, model, titled);
  page.append(happened.panel, lags.panel, ...notices.panels, log.panel);

  const showTold = (told) => {
    table.hidden = !told.happened.length;
    quiet.hidden = !!told.happened.length;
    body.replaceChildren(...told.happened.map(([time, what, note, ...figures]) => {
      const row = element("tr"), first = element("td", "q n", time), second = element("td", "what"), line = element("div", "el2", what);
      if (note) { const more = element("span", "q", note); line.append(" ", more); line.title = note; }
      second.append(line);
      row.append(first, second, ...figures.map((figure, place) => element("td", `${HEADS[place + 2][1] ?? ""} n${figure === "–" || figure === "nothing" ? " q" : ""}`, figure)));
      return row;
    }));
    lines.replaceChildren(...told.log.map(([time, level, logger, text]) => {
      const row = element("li"), severity = LEVELS[level] ?? "info", mark = element("span", `sev ${severity}`);
      mark.append(tw.severityMark(severity, 10), element("span", "", level));
      const words = element("span", "text");
      words.append(element("span", "q", logger), " ", element("bdi", "", text));
      row.append(element("span", "q n", time), mark, words);
      return row;
    }));
    if (!told.log.length) lines.append(element("li", "none", "Nothing was logged yet."));
  };

  let histogram = null;
  const showNow = () => {
    const now = read(model.now);
    if (!now) return;
    happened.side.textContent = now.day ? "last 24 hours" : `since the start, ${now.up} ago`;
    showFigures(now);
  };
  const showPast = () => {
    const past = read(model.past);
    if (!past) return;
    charts.forEach((each, place) => each.show(past, past.charts[place]));
    ({sparks, histogram} = past);
    panels.forEach((panel, at) => panel.rows.forEach((each, place) => showSpark(each, each.fields, sparks[at]?.[place] ?? [])));
    lags.side.textContent = histogram && histogram.events < 10000 ? `${histogram.events.toLocaleString("en")} so far` : "";
    drawHistogram(histogramRoom, histogram, element);
  };
  const showAll = () => { const told = read(model.told); if (told) showTold(told); };
  new ResizeObserver(() => drawHistogram(histogramRoom, histogram, element)).observe(histogramRoom);
  model.on("now", showNow);
  model.on("past", showPast);
  model.on("told", showAll);
  tw.listen("status", page, showWord);
  showWord(tw.status);
  showNow();
  showPast();
  showTold(read(model.told) ?? {happened: [], log: []});
  notices.show();
  return page;
}

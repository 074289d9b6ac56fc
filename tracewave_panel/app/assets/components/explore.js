// The Explore page. What is in the editor is in the address too; nothing is asked of history before somebody presses Run.
const ICONS = {
  run: {d: "M3 1.6L10 6 3 10.4Z", fill: "currentColor"},
  link: {d: "M5 7l2-2M5.4 3.6l1-1a2.1 2.1 0 0 1 3 3l-1 1M6.6 8.4l-1 1a2.1 2.1 0 0 1-3-3l1-1", stroke: "currentColor", "stroke-width": 1.2, "stroke-linecap": "round"},
};
const FILES = [["csv", "CSV", "text/csv"], ["parquet", "Parquet", "application/vnd.apache.parquet"], ["json", "JSON", "application/json"]];
const SILENT = 10_000, LONGEST_LINK = 8000; // milliseconds beyond the limit; characters
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const lasted = (seconds) => (seconds < 1 ? `${Math.max(1, Math.round(1000 * seconds))} ms` : `${seconds.toFixed(1)} s`);

export function render({model}) {
  const tw = window.tracewave;
  const {element} = tw;
  const queries = JSON.parse(model.ready), limits = JSON.parse(model.limits);
  const bound = `${limits.seconds} s or ${limits.rows.toLocaleString("en")} rows`;
  const rest = "Nothing was asked yet. Run asks history with the query above.";
  const page = element("div", "explore");
  // Answers come by the line of the frames; nothing is asked before the page has it.
  let line = null;
  const unasked = [], ask = (message) => (line ? model.send_msg(message) : unasked.push(message));
  const pressable = (className, words, icon, pressed) => {
    const button = element("button", className);
    button.type = "button";
    if (icon) button.append(tw.drawing(icon === "run" ? 10 : 12, 12, ICONS[icon]));
    button.append(words);
    button.addEventListener("click", () => { if (!button.hasAttribute("aria-disabled")) pressed(); });
    return button;
  };
  const allow = (button, allowed, why) => {
    button.title = allowed ? "" : why;
    if (allowed) button.removeAttribute("aria-disabled");
    else button.setAttribute("aria-disabled", "true");
  };

  /* Parts */
  const side = element("div", "side"), query = element("section", "panel query"), head = element("div", "ph"), from = element("span", "q from el"), badge = element("span", "sev badge");
  const limit = element("span", "q limit", `read only, stops at ${bound}`), bar = element("div", "run"), state = element("p", "state n"), trouble = element("div", "trouble");
  const result = element("section", "panel result"), resultHead = element("div", "ph"), shownWords = element("span", "q n"), sortWords = element("span", "q el"), nothing = element("p", "none"), begin = beginning(tw, {ask: (sql) => { fill(sql, {}, true); editor.box.scrollTop = 0; }});
  query.setAttribute("aria-label", "Query");
  result.setAttribute("aria-label", "Result");
  badge.hidden = trouble.hidden = true;
  state.setAttribute("role", "status");
  trouble.setAttribute("role", "alert");
  head.append(element("h2", "", "Query"), badge, from, element("span", "sp"), limit);
  resultHead.append(element("h2", "", "Result"), shownWords, element("span", "sp"), sortWords);
  const editor = editorOf(tw, {run: () => run(), cancel: () => cancel(), changed: () => edited(), room: () => query});
  const runButton = pressable("btn pri", "Run", "run", () => run()), cancelButton = pressable("btn", "Cancel", null, () => cancel());
  runButton.setAttribute("aria-keyshortcuts", "Control+Enter");
  const files = FILES.map(([form, words]) => [form, pressable("btn", words, null, () => download(form))]);
  const copyButton = pressable("btn", "Copy link", "link", () => copy());
  const downloads = element("div", "downloads"), address = element("input", "address");
  downloads.setAttribute("role", "group");
  downloads.setAttribute("aria-label", "Download the whole answer");
  downloads.append(element("span", "q", "Download"), ...files.map(([, button]) => button), copyButton);
  address.readOnly = true;
  address.hidden = true;
  address.setAttribute("aria-label", "Link to this query");
  bar.append(runButton, cancelButton, state, downloads);
  query.append(head, editor.box, trouble, bar, address, editor.list, ...editor.nodes);
  const table = answerTable(tw);
  result.append(resultHead, table.room, begin.box, nothing, table.heard);
  const chart = answerChart(tw, {chosen: (text) => { chosen = text; remember(false); }, picked: () => (anomaly?.sql ? {from: 1000 * anomaly.opened, until: 1000 * (anomaly.closed ?? anomaly.opened), open: anomaly.closed === null, values: anomaly.values} : null)});
  const schema = schemaPanel(tw, {insert: (name) => editor.insert(name), again: () => ask({schema: true})});
  const ready = readyPanel(tw, queries, {pick: ({sql, name}) => { fill(sql, {ready: name}, true); editor.box.scrollTop = 0; }});
  side.append(ready.panel, schema.panel);
  page.append(side, query, result, chart.panel);

  /* What the editor holds, where it came from, and the address */
  let origin = {}, anomaly = null, chosen = "", asked = 0, running = null, answer = null, answered = null, ticking = 0, told = "", drafted = false;
  const partsOf = () => {
    const sql = editor.sql, ready = queries.find((each) => each.sql === sql);
    const what = anomaly && anomaly.sql === sql ? {anomaly: anomaly.id} : ready ? {ready: ready.name} : {sql};
    return {sql: null, anomaly: null, ready: null, ...what, chart: chosen || null};
  };
  const remember = (push) => {
    if (tw.page !== "explore") return;
    const parts = partsOf();
    told = JSON.stringify(parts);
    tw.url.set((parts.sql ?? "").length > LONGEST_LINK ? {...parts, sql: null} : parts, push);
  };
  const showOrigin = () => {
    const found = ready.current(editor.sql), sql = editor.sql, own = anomaly && anomaly.sql === sql;
    badge.hidden = !own;
    if (own) {
      badge.className = `sev badge ${anomaly.severity}`;
      badge.replaceChildren(tw.severityMark(anomaly.severity, 10), anomaly.severity.toUpperCase());
      from.replaceChildren("filled in from ", element("bdi", "", anomaly.title), `, ${tw.day(1000 * anomaly.opened)} ${tw.clock(1000 * anomaly.opened)}`);
    } else from.textContent = found ? found.teaches : origin.sql === sql ? "filled in from a link; nothing runs until you press Run" : origin.note ?? "";
    from.title = from.textContent;
    const old = answer !== null && answered !== sql;
    result.classList.toggle("old", old);
    chart.panel.classList.toggle("old", old);
    showRange(lastRange);
  };
  const fill = (sql, where, push, drawn = "") => {
    const same = editor.sql === sql;
    origin = where;
    if (!same) { editor.set(sql); trouble.hidden = true; }
    if (!same || !push) chosen = drawn;
    drafted = false;
    remember(push && !same);
    showOrigin();
  };
  let later = 0;
  const edited = () => {
    origin = {};
    trouble.hidden = true;
    clearTimeout(later);
    // the first change after a run begins an entry of its own, so that Back leads to what was asked
    later = setTimeout(() => { remember(!drafted && answered !== null); drafted = true; }, 400);
    showOrigin();
  };
  const readAddress = () => {
    const {sql, anomaly: id, ready: name, chart: drawn} = Object.fromEntries(["sql", "anomaly", "ready", "chart"].map((each) => [each, tw.url.get(each)]));
    if (sql !== null) fill(sql, {sql}, false, drawn ?? "");
    else if (id !== null && anomaly?.id === id && anomaly.sql) fill(anomaly.sql, {}, false, drawn ?? "");
    else if (id !== null) {
      anomaly = {id};
      from.textContent = "Looking for the anomaly of this link.";
      ask({anomaly: id.slice(0, 400)});
    } else fill((queries.find((each) => each.name === name) ?? queries[0]).sql, {}, false, drawn ?? "");
  };

  /* Asking */
  const say = (words) => { if (state.textContent !== words) state.textContent = words; };
  const tick = () => {
    if (!running) return;
    const now = performance.now();
    if (running.begun === null) say("Waiting for other queries to end.");
    else say(`Running, ${((now - running.begun) / 1000).toFixed(1)} s`);
    if (tw.link.lost) settle("", "The server is gone; the page comes back by itself when it answers, and the query is still in its address.");
    else if (running.begun !== null && now - running.begun > 1000 * limits.seconds + SILENT) settle("", "The server has not answered. Run it again, or load the page anew.");
  };
  const buttons = () => {
    const holds = answer !== null && answer.number === asked && !running;
    allow(cancelButton, Boolean(running), "Nothing runs");
    for (const [, button] of files) allow(button, holds && answer.columns.length > 0, running ? "Waiting for the answer" : "There is no answer to download yet");
    runButton.classList.toggle("busy", Boolean(running));
  };
  const settle = (words, wrong = "", place = null) => {
    clearInterval(ticking);
    running = null;
    say(words);
    trouble.hidden = !wrong;
    trouble.replaceChildren(...(wrong ? [element("p", "", wrong)] : []));
    if (place) {
      const go = pressable("btn", `line ${editor.lineOf(place.begin)}`, null, () => editor.point(place));
      trouble.prepend(go);
    }
    editor.mark(place);
    buttons();
  };
  const run = () => {
    const {sql} = editor;
    address.hidden = true;
    if (!sql.trim()) { settle("", "There is nothing to ask: the editor is empty."); return; }
    if (tw.link.lost) { settle("", "The server is gone; the page comes back by itself when it answers."); return; }
    settle("");
    clearTimeout(later);
    running = {number: ++asked, sql, begun: null};
    remember(!drafted && answered !== null && JSON.stringify(partsOf()) !== told);
    drafted = false;
    ask({run: sql, number: asked});
    ticking = setInterval(tick, 100);
    setTimeout(tick, 60);
    buttons();
  };
  const cancel = () => { if (running) { say("Stopping."); ask({cancel: running.number}); } };

  /* Answers */
  let lastRange = null;
  const showRange = (range) => {
    lastRange = range;
    if (!answer) return;
    const old = answered !== editor.sql, cut = answer.shown < answer.rows ? `; the first ${answer.shown.toLocaleString("en")} are here` : "";
    shownWords.textContent = range ? `${range.first.toLocaleString("en")} to ${range.last.toLocaleString("en")} of ${answer.rows.toLocaleString("en")}${cut}` : "";
    sortWords.textContent = old ? "of the query before" : range?.sorted ? `sorted by ${range.sorted}${cut ? ", among those here" : ""}` : "";
    sortWords.title = sortWords.textContent;
  };
  table.onRange(showRange);
  const showAnswer = (next) => {
    const first = answer === null;
    answer = next;
    answered = running.sql;
    settle(`${count(next.rows, "row")} in ${lasted(next.seconds)}, at ${tw.clock(1000 * next.at)} UTC`);
    page.classList.add("answered");
    begin.box.hidden = true;
    table.room.hidden = next.rows === 0;
    nothing.hidden = next.rows !== 0;
    nothing.textContent = "The query ran and found no rows: nothing in history fits it.";
    chart.panel.hidden = false;
    if (first) table.room.scrollTop = 0;
    lastRange = null;
    shownWords.textContent = sortWords.textContent = "";
    if (next.rows) table.show(next);
    chart.show(next, table.wordsOf, chosen);
    buttons();
    showOrigin();
  };
  const units = (text, points) => [...text].slice(0, points).join("").length; // the server counts characters, a field in UTF-16
  const heard = {
    begun(number) { if (running?.number === number) running.begun = performance.now(); },
    answer(next) { if (running?.number === next.number) showAnswer(next); },
    fault({number, words, begin, end}) {
      if (running?.number !== number) return;
      const {sql} = running;
      const place = end > begin && sql === editor.sql ? {begin: units(sql, begin), end: units(sql, end)} : null;
      const cancelled = words === "the query was cancelled";
      settle(cancelled ? "Cancelled." : "", cancelled ? "" : `${words[0].toUpperCase()}${words.slice(1)}${/[.?!]$/.test(words) ? "" : "."}`, place);
    },
    schema(told) {
      schema.show(told);
      editor.know(told.relations ?? []);
      begin.show(told.relations ?? []);
      begin.say(told.relations ? rest : `${told.error[0].toUpperCase()}${told.error.slice(1)}.`);
    },
    anomaly({id, error, ...fields}) {
      if (anomaly?.id !== id || tw.url.get("anomaly") !== id) return;
      if (error) {
        anomaly = null;
        fill(queries[0].sql, {}, false);
        from.textContent = from.title = `${error[0].toUpperCase()}${error.slice(1)}; this is the first ready query.`;
        return;
      }
      anomaly = {id, ...fields};
      ready.offer({name: "", title: "The picked anomaly", teaches: anomaly.teaches, sql: anomaly.sql});
      fill(anomaly.sql, {}, false, tw.url.get("chart") ?? "");
    },
    file(piece) { takePiece(piece); },
  };

  /* Files and links */
  let coming = null;
  const download = (form) => {
    coming = {form, number: answer.number, parts: []};
    say(`Preparing ${form === "csv" ? "CSV" : form === "json" ? "JSON" : "Parquet"}.`);
    ask({file: form, number: answer.number});
  };
  const takePiece = ({form, number, error, pieces, data}) => {
    if (coming?.form !== form || coming.number !== number) return;
    if (error) { coming = null; settle("", `${error[0].toUpperCase()}${error.slice(1)}.`); return; }
    coming.parts.push(Uint8Array.from(atob(data), (each) => each.charCodeAt(0)));
    if (coming.parts.length < pieces) return;
    const blob = new Blob(coming.parts, {type: FILES.find(([each]) => each === form)[2]}), link = element("a");
    coming = null;
    link.href = URL.createObjectURL(blob);
    link.download = `tracewave-${new Date(1000 * answer.at).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")}.${form}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 30_000);
    say(`${count(answer.rows, "row")} saved as ${link.download}`);
  };
  const copy = async () => {
    const link = new URL(location.href), place = link.searchParams.get("page"), parts = partsOf();
    link.hash = link.search = "";
    if (place !== null) link.searchParams.set("page", place);
    for (const [name, value] of Object.entries(parts)) if (value !== null) link.searchParams.set(name, value);
    if (link.href.length > LONGEST_LINK) { settle("", "The query is too long for a link; send its text."); return; }
    try {
      await navigator.clipboard.writeText(link.href);
      address.hidden = true;
      say("Link copied: it fills the editor and runs nothing.");
    } catch {
      address.hidden = false;
      address.value = address.title = link.href;
      say("The browser keeps its clipboard to itself; copy this:");
      address.focus();
      address.select();
    }
  };

  const connect = () => {
    const found = window.Bokeh?.documents?.map((each) => each.get_model_by_name("frames")).find(Boolean);
    if (!found) { setTimeout(connect, 50); return; }
    found.properties.answer.change.connect(() => {
      for (const [subject, told] of Object.entries(JSON.parse(found.answer || "{}"))) heard[subject]?.(told);
    });
    // The first patch after a component came late would carry its model whole, which the server knows: this one is empty.
    found.setv({asks: found.asks + 1});
    line = found;
    unasked.splice(0).forEach(ask);
  };
  page.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running && !event.defaultPrevented) { event.preventDefault(); cancel(); }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) { event.preventDefault(); run(); }
  });
  tw.listen("page", page, (name) => {
    if (name !== "explore") return;
    const wanted = JSON.stringify({sql: null, anomaly: null, ready: null, ...Object.fromEntries(["sql", "anomaly", "ready"].map((each) => [each, tw.url.get(each)]).filter(([, value]) => value !== null)), chart: tw.url.get("chart")});
    if (wanted !== told) { clearTimeout(later); readAddress(); }
  });
  begin.say(rest);
  table.room.hidden = nothing.hidden = true;
  chart.panel.hidden = true;
  readAddress();
  buttons();
  ask({schema: true});
  setTimeout(connect, 0);
  return page;
}

/* The time axis of the sheet: which stretch is shown, whether it follows the last window, pause, and the cursor.
   The server streams rows into the shared table; of all that happens here it hears only of pause. */
(() => {
  const tw = window.tracewave;
  const rows = document.querySelector(".rows");
  if (!rows) return;
  const SECOND = 1000, MINUTE = 60 * SECOND, SHORTEST = 10 * SECOND, LONGEST = 15 * MINUTE;
  const ABOVE = 26, BELOW = 19, LEAST_TICK = 66; // pixels
  let table, range, heights, pixels, ticks;
  let span = 5 * MINUTE, following = true, paused = false, followed = true, waiting = 0, cursor = null;

  const column = (name) => table?.get_column(name) ?? [];
  const last = () => column("start").length - 1;
  const first = () => column("start")[0];
  const end = () => column("end")[last()];
  const width = () => end() - column("start")[last()];

  const rowAt = (index) => {
    const row = {};
    for (const name of table.columns()) row[name] = column(name)[index];
    return row;
  };
  const indexOf = (moment) => {
    const starts = column("start");
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= moment) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };
  const nearest = (moment) => {
    const starts = column("start"), before = Math.max(0, indexOf(moment));
    return before < last() && starts[before + 1] - moment < moment - starts[before] ? before + 1 : before;
  };

  tw.first = first;
  tw.recent = (name) => Array.from(column(name)).slice(-300);

  // What is told before the server listens is told when it does.
  const tell = (values) => {
    if (tw.server) tw.server.tell(values);
    else window.addEventListener("tracewave:server", () => tw.server.tell(values), {once: true});
  };

  const announceRow = () => {
    if (last() < 0) return;
    const shown = cursor === null ? tw.row : rowAt(nearest(cursor));
    tw.announce("row", {last: tw.row, shown, hovered: cursor !== null});
  };

  const niceTop = (value) => {
    const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return unit * [1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value);
  };
  // The rails above and below keep their pixels, whatever the height of the plot.
  const scale = () => {
    const high = tw.plots?.pulse?.clientHeight;
    if (!high) return;
    const from = Math.max(0, indexOf(range.start)), until = Math.min(last(), indexOf(range.end));
    const observed = column("observed"), highest = column("highest");
    let top = 1;
    for (let i = from; i <= until; i++) {
      if (observed[i] > top) top = observed[i];
      if (highest[i] > top) top = highest[i];
    }
    const pixel = niceTop(top) / (high - ABOVE - BELOW);
    const [bottom, peak] = [-BELOW * pixel, (high - BELOW) * pixel];
    if (heights.end !== peak || heights.start !== bottom) heights.setv({start: bottom, end: peak}, {sync: false});
    if (pixels.end !== high) pixels.setv({end: high}, {sync: false});
  };

  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].map((seconds) => seconds * SECOND);
  const setTicks = () => {
    const across = document.getElementById("glass").clientWidth;
    if (!across) return;
    const step = STEPS.find((each) => each / (range.end - range.start) * across >= LEAST_TICK) ?? STEPS.at(-1);
    const marks = [];
    for (let at = Math.ceil(range.start / step) * step; at <= range.end; at += step) marks.push(at);
    if (marks[0] !== ticks.ticks[0] || marks.length !== ticks.ticks.length) ticks.setv({ticks: marks}, {sync: false});
    api.tickStep = step;
  };

  const sayShown = () => {
    const stretch = `${tw.clock(range.start)} to ${tw.clock(range.end)}`;
    document.getElementById("shown").textContent = `${stretch} UTC`;
    document.getElementById("follow").hidden = following || paused;
    for (const each of document.querySelectorAll("[data-minutes]"))
      each.setAttribute("aria-pressed", String(Number(each.dataset.minutes) * MINUTE === Math.round(range.end - range.start)));
    const banner = document.getElementById("paused"), button = document.getElementById("pause");
    banner.hidden = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.querySelector("span").textContent = paused ? "Go on" : "Pause";
    if (!paused) return;
    const newer = waiting === 1 ? "1 newer window is waiting." : waiting > 0 ? `${waiting.toLocaleString("en")} newer windows are waiting.` : "No newer window yet.";
    banner.querySelector("span").textContent = `You look at ${stretch}. ${newer}`;
  };

  let remembering;
  const remember = () => {
    clearTimeout(remembering);
    remembering = setTimeout(() => {
      if (!rows.clientWidth) return;
      const seconds = (moment) => (following ? null : Math.round(moment / SECOND));
      const minutes = span / MINUTE;
      tw.url.set({range: minutes === 5 || !Number.isInteger(minutes) ? null : minutes, from: seconds(range.start), to: seconds(range.end)});
    }, 400);
  };

  const draw = () => {
    scale();
    setTicks();
    sayShown();
    tw.announce("view", null);
    announceRow();
  };
  // Nothing is drawn while another page is shown; coming back draws all.
  const look = () => {
    if (last() < 0 || !rows.clientWidth) return;
    if (!following && !paused && range.end <= first()) following = true;
    if (following) range.setv({start: end() - span, end: end()}, {sync: false});
    if (cursor !== null && cursor < range.start) cursor = null;
    draw();
  };

  const show = (from, until) => {
    const long = Math.min(Math.max(until - from, SHORTEST), LONGEST);
    const right = Math.min(Math.max(until, Math.min(first() + long, end())), end());
    range.setv({start: right - long, end: right}, {sync: false});
    following = !paused && right > end() - width() / 2;
    if (following) span = long;
    draw();
    remember();
  };
  const pause = () => {
    if (paused || last() < 0) return;
    followed = following;
    [paused, following, waiting] = [true, false, 0];
    tell({paused: true});
    sayShown();
    remember();
  };
  const resume = () => {
    if (!paused) return;
    paused = false;
    tell({paused: false});
    tw.rowAt = performance.now();
    following = followed;
    tw.announce("resume", null);
    look();
    remember();
  };
  const follow = () => {
    followed = true;
    if (paused) return resume();
    following = true;
    look();
    remember();
  };
  const point = (moment) => {
    const at = moment === null || last() < 0 ? null : column("start")[nearest(moment)];
    if (at === cursor) return;
    cursor = at;
    tw.announce("cursor", cursor);
    announceRow();
  };
  const step = (windows) => {
    if (last() < 0) return;
    const from = cursor === null ? Math.min(last(), nearest(range.end)) + (windows < 0 ? 1 : 0) : nearest(cursor);
    point(column("start")[Math.min(last(), Math.max(0, from + windows))]);
    const long = range.end - range.start, spare = Math.min(width(), long / 4);
    if (cursor < range.start) show(cursor - spare, cursor - spare + long);
    else if (cursor >= range.end) show(cursor + spare - long, cursor + spare);
  };

  const api = (tw.timeline = {
    pause, resume, follow, point, step, show, tell,
    tickStep: MINUTE,
    toggle: () => (paused ? resume() : pause()),
    get from() { return range?.start; },
    get until() { return range?.end; },
    get first() { return first(); },
    get end() { return end(); },
    get width() { return width(); },
    get ticks() { return ticks?.ticks ?? []; },
    get cursor() { return cursor; },
    get paused() { return paused; },
    get following() { return following; },
    column, nearest, indexOf,
    // Where a moment and a figure lie, as parts of the plot's width and, from its top, of the pulse's height.
    across: (moment) => (moment - range.start) / (range.end - range.start),
    down: (figure) => (heights.end - figure) / (heights.end - heights.start),
  });

  // The address may name a stretch; it is known whether that is held when the first windows are there.
  let restored = false;
  const restore = () => {
    restored = true;
    const minutes = Number(tw.url.get("range"));
    if ([2, 15].includes(minutes)) span = minutes * MINUTE;
    look();
    const [from, until] = ["from", "to"].map((name) => Number(tw.url.get(name)) * SECOND);
    if (until > from && from > 0 && until > first() && from < end()) show(from, until);
    tw.announce("restored", null);
  };
  const onRows = () => {
    if (last() < 0) return;
    document.getElementById("waiting").hidden = true;
    document.getElementById("glass").hidden = false;
    const row = rowAt(last());
    if (tw.row?.start !== row.start) tw.rowAt = performance.now();
    tw.row = row;
    tw.announce("rows", null);
    if (!rows.clientWidth) announceRow();
    else if (restored) look();
    else restore();
  };

  const attach = (doc) => {
    const model = (name) => doc.get_model_by_name(name);
    [table, range, heights, pixels, ticks] = ["live-table", "time-range", "pulse-range", "pulse-pixels", "time-ticks"].map(model);
    const paint = () => tw.repaint(doc);
    table.streaming.connect(onRows);
    table.patching.connect(onRows);
    table.properties.data.change.connect(onRows);
    tw.announce("attached", doc);
    window.addEventListener("tracewave:theme", paint);
    onRows();
    new ResizeObserver(() => requestAnimationFrame(look)).observe(rows);
    // Canvas text was measured before the fonts came.
    document.fonts.load('10px "JetBrains Mono Variable"').then(paint);
  };
  const wait = () => {
    const doc = window.Bokeh?.documents?.find((each) => each.get_model_by_name("live-table"));
    if (doc) attach(doc);
    else setTimeout(wait, 50);
  };
  // By then every script that listens has run.
  document.addEventListener("DOMContentLoaded", wait, {once: true});

  window.addEventListener("tracewave:page", () => { if (table) requestAnimationFrame(look); });
  window.addEventListener("tracewave:waiting", ({detail}) => {
    if (!paused || detail === waiting) return;
    waiting = detail;
    tw.rowAt = performance.now(); // the feed lives, though its rows are held back
    sayShown();
  });
  for (const button of document.querySelectorAll("[data-minutes]"))
    button.addEventListener("click", () => {
      const long = Number(button.dataset.minutes) * MINUTE;
      if (!table || following || !paused) { span = long; follow(); }
      else show(range.end - long, range.end);
    });
  document.getElementById("follow").addEventListener("click", follow);
  document.getElementById("pause").addEventListener("click", () => api.toggle());
})();

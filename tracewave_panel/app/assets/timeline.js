/* Follows the shared table: moves the time axis, announces the last window or the one under the
   cursor to the components, and keeps the episodes' names apart. Nothing here talks to the server. */
(() => {
  const tw = window.tracewave;
  const MINUTE = 60_000;
  let table, episodes, range, heights, cursor;
  let span = 5 * MINUTE, following = true, moving = false, hovered = null, painted = "";

  const column = (name) => table.get_column(name) ?? [];
  const last = () => column("start").length - 1;

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

  const announceRow = () => {
    const end = last();
    if (end < 0) return;
    const place = hovered === null ? end : Math.max(0, indexOf(hovered));
    tw.announce("row", {last: tw.row, shown: place === end ? tw.row : rowAt(place), hovered: hovered !== null});
  };

  tw.first = () => column("start")[0];
  tw.recent = (name) => Array.from(column(name)).slice(-300);
  // Of the windows in which no detector fired; a surge is not what is usual.
  tw.usual = (name) => {
    const fired = column("fired");
    const values = Array.from(column(name)).filter((value, place) => Number.isFinite(value) && !(fired[place] > 0)).sort((a, b) => a - b);
    return values[values.length >> 1];
  };

  const niceTop = (value) => {
    const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return unit * [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value);
  };

  const scale = () => {
    const from = Math.max(0, indexOf(range.start)), until = Math.min(last(), indexOf(range.end));
    const observed = column("observed"), highest = column("highest");
    let top = 1;
    for (let i = from; i <= until; i++) {
      if (observed[i] > top) top = observed[i];
      if (highest[i] > top) top = highest[i];
    }
    const end = niceTop(top) * 1.14;
    if (heights.end !== end) heights.setv({start: end * -0.05 / 1.14, end}, {sync: false});
  };

  // A name is cut where the next mark or the right edge begins, or written leftwards where there is more
  // room; with room for a few letters only, the mark stands alone.
  const LETTER = 6.2, MARK = 9, FEWEST = 9;
  const placeNames = () => {
    const starts = episodes.get_column("start") ?? [], titles = episodes.get_column("title") ?? [];
    if (!starts.length) return;
    const width = (document.querySelector(".rows")?.clientWidth ?? 900) - (innerWidth > 700 ? 294 : 42);
    const pixel = (moment) => (moment - range.start) / (range.end - range.start) * width;
    const order = [...starts.keys()].sort((a, b) => starts[a] - starts[b]);
    const label = [], align = [], offset = [];
    let taken = 0;
    order.forEach((i, k) => {
      const at = pixel(starts[i]);
      const until = k + 1 < order.length ? Math.min(pixel(starts[order[k + 1]]) - MARK, width) : width;
      const rightwards = Math.floor((until - at - MARK - 6) / LETTER), leftwards = Math.floor((at - taken - MARK - 6) / LETTER);
      const left = rightwards < titles[i].length && leftwards > rightwards;
      const letters = left ? leftwards : rightwards;
      const fits = titles[i].length <= letters;
      label[i] = at < 0 || at > width || (!fits && letters < FEWEST) ? "" : fits ? titles[i] : `${titles[i].slice(0, letters - 1)}…`;
      align[i] = left ? "right" : "left";
      offset[i] = left ? -MARK : MARK;
      taken = Math.max(taken, at + MARK + (left ? 0 : label[i].length * LETTER));
    });
    const names = episodes.get_column("label");
    if (label.some((text, i) => text !== names[i]) || align.some((side, i) => side !== episodes.get_column("align")[i])) {
      const data = Object.fromEntries(episodes.columns().map((name) => [name, episodes.get_column(name)]));
      episodes.setv({data: {...data, label, align, offset}}, {sync: false});
    }
  };

  const sayShown = () => {
    document.getElementById("shown").textContent = `${tw.clock(range.start)} to ${tw.clock(range.end)} UTC`;
    document.getElementById("follow").hidden = following;
  };

  const look = () => {
    if (last() < 0) return;
    if (following) {
      moving = true;
      const end = column("end")[last()];
      range.setv({start: end - span, end}, {sync: false});
      moving = false;
    }
    scale();
    placeNames();
    sayShown();
  };

  const follow = () => { following = true; look(); };

  const paint = () => tw.repaint(table.document);

  const onRows = () => {
    const end = last();
    if (end < 0) return;
    document.getElementById("waiting").hidden = true;
    const row = rowAt(end);
    if (tw.row?.start !== row.start) tw.rowAt = performance.now();
    tw.row = row;
    look();
    announceRow();
  };

  const attach = (doc) => {
    table = doc.get_model_by_name("live-table");
    episodes = doc.get_model_by_name("episodes");
    range = doc.get_model_by_name("time-range");
    heights = doc.get_model_by_name("pulse-range");
    cursor = doc.get_model_by_name("time-cursor");
    table.streaming.connect(onRows);
    table.patching.connect(onRows);
    // New columns mean new lanes: they arrive in the dark theme.
    table.properties.data.change.connect(() => { onRows(); setTimeout(paint, 300); });
    episodes.properties.data.change.connect(placeNames);
    for (const edge of [range.properties.start, range.properties.end])
      edge.change.connect(() => {
        if (moving) return;
        following = false;
        scale();
        sayShown();
      });
    cursor.properties.location.change.connect(() => {
      const moment = cursor.location;
      hovered = Number.isFinite(moment) && moment <= range.end ? moment : null;
      announceRow();
    });
    if (innerWidth <= 1100)
      for (const model of doc._all_models.values())
        if (model.type === "DatetimeTicker") model.setv({desired_num_ticks: innerWidth <= 700 ? 3 : 5}, {sync: false});
    // A finger on a plot scrolls the page; only a mouse or pen pans.
    if (matchMedia("(pointer: coarse)").matches)
      for (const model of doc._all_models.values()) if (model.type === "PanTool") model.setv({active: false}, {sync: false});
    window.addEventListener("tracewave:theme", paint);
    if (document.documentElement.dataset.theme === "light") paint();
    onRows();
    document.documentElement.dataset.ready = "true";
    // Canvas text was measured before the fonts came.
    document.fonts.load('10px "JetBrains Mono Variable"').then(paint);
  };

  const wait = () => {
    const doc = window.Bokeh?.documents?.find((each) => each.get_model_by_name("live-table"));
    if (doc) attach(doc);
    else setTimeout(wait, 50);
  };
  wait();

  for (const button of document.querySelectorAll("[data-minutes]"))
    button.addEventListener("click", () => {
      span = Number(button.dataset.minutes) * MINUTE;
      for (const each of document.querySelectorAll("[data-minutes]")) each.setAttribute("aria-pressed", String(each === button));
      if (table) follow();
    });
  document.getElementById("follow").addEventListener("click", follow);
  document.querySelector(".rows").addEventListener("dblclick", follow);
})();

/* Spreads a frame, the server's news of a tick, over the page: windows into the table, the rest to whoever listens.
   What was told last is kept in `tw.told` for components that are drawn later. */
(() => {
  const tw = window.tracewave;
  const PARTS = ["header", "totals", "reasons", "events", "waiting"];
  const SEEN_EVERY = 10_000; // milliseconds between two answers of how far was drawn
  let frames, table, seen = 0, answered = performance.now(), answering = null;
  tw.told = {};

  const answer = () => {
    answering = null;
    answered = performance.now();
    if (!tw.link.lost) frames.setv({seen});
  };

  // Windows told again are written where they lie; one from before that was never told makes the table anew.
  const take = (told, held) => {
    const names = table.columns(), starts = table.get_column("start"), last = starts.length ? starts[starts.length - 1] : -Infinity;
    const value = (name, place) => told[name]?.[place] ?? NaN;
    const newer = [], known = new Map();
    let strange = false;
    told.start.forEach((start, place) => {
      if (start > last) { newer.push(place); return; }
      const at = starts.indexOf(start);
      if (at >= 0) known.set(at, place);
      else strange = true;
    });
    if (strange) {
      const rows = new Map(Array.from(starts, (start, place) => [start, names.map((name) => table.get_column(name)[place])]));
      told.start.forEach((start, place) => rows.set(start, names.map((name) => value(name, place))));
      const kept = [...rows.keys()].sort((a, b) => a - b).slice(-held);
      table.setv({data: Object.fromEntries(names.map((name, column) => [name, kept.map((start) => rows.get(start)[column])]))}, {sync: false});
      return;
    }
    if (known.size) table.patch(Object.fromEntries(names.map((name) => [name, [...known].map(([at, place]) => [at, value(name, place)])])), {sync: false});
    if (newer.length) table.stream(Object.fromEntries(names.map((name) => [name, newer.map((place) => value(name, place))])), held, {sync: false});
  };

  const onFrame = () => {
    if (!frames.text) return;
    const frame = JSON.parse(frames.text);
    // Another run, or a detector that this page has no lane for: both are rare.
    if (frame.reload || (table && frame.detectors.length !== tw.detectors.length)) { location.reload(); return; }
    if (frame.rows && table) take(frame.rows, frame.held);
    // Without plots there is no table of windows to read: the server says the little that the frame needs.
    if (frame.now && !table) {
      const [end, metric] = frame.now;
      if (tw.row?.end !== end) tw.rowAt = performance.now();
      tw.row = {start: end, end, feature_0: metric};
      tw.announce("row", {last: tw.row, shown: tw.row, hovered: false});
    }
    for (const part of PARTS) {
      if (frame[part] === undefined) continue;
      tw.told[part] = frame[part];
      tw.announce(part, frame[part]);
    }
    document.documentElement.dataset.ready = "true";
    seen = frame.number;
    answering ??= setTimeout(answer, Math.max(0, answered + SEEN_EVERY - performance.now()));
  };

  const model = (name) => window.Bokeh?.documents?.map((each) => each.get_model_by_name(name)).find((found) => found);
  const wait = () => {
    [frames, table] = ["frames", "live-table"].map(model);
    if (!frames || (!table && document.getElementById("sheet"))) { setTimeout(wait, 50); return; }
    frames.properties.text.change.connect(onFrame);
    onFrame();
  };
  wait();
})();

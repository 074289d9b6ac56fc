/* The brushed range: an outline with two handles over the pulse, and faint edges through the rows below.
   What is brushed goes to the server, to the other parts of the page, and into the address. */
(() => {
  const tw = window.tracewave;
  const glass = document.getElementById("glass");
  if (!glass) return;
  const {element, timeline} = tw;
  const SETTLED = 150; // milliseconds without a change until the others hear of it
  const box = element("div", "brush"), edges = element("div", "brush-edges");
  let range = null, growing = null, telling;

  const handles = ["from", "until"].map((edge) => {
    const handle = element("div", `handle ${edge}`);
    handle.dataset.edge = edge;
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", edge === "from" ? "Start of the brushed range" : "End of the brushed range");
    handle.addEventListener("keydown", (event) => {
      const by = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1}[event.key];
      if (!by) return;
      event.preventDefault();
      const moved = range[edge] + by * (event.shiftKey ? 10 : 1) * timeline.width;
      brush(edge === "from" ? Math.min(moved, range.until - timeline.width) : range.from, edge === "until" ? Math.max(moved, range.from + timeline.width) : range.until);
    });
    return handle;
  });
  box.append(...handles);
  box.hidden = edges.hidden = true;
  glass.append(edges, box);

  const place = () => {
    const across = glass.clientWidth;
    // Until the pulse is there its place among the rows is not known; a view follows when it is.
    if (!range || !across || !tw.plots?.pulse?.clientHeight) { box.hidden = edges.hidden = true; return; }
    const from = timeline.across(range.from), until = timeline.across(range.until);
    const [left, right] = [Math.max(0, from) * across, Math.min(1, until) * across];
    box.hidden = edges.hidden = right - left < 1;
    for (const node of [box, edges]) {
      node.style.transform = `translateX(${left.toFixed(2)}px)`;
      node.style.width = `${(right - left).toFixed(2)}px`;
    }
    box.classList.toggle("growing", growing !== null);
    // An edge that lies outside the view has no handle to take.
    handles[0].hidden = from < 0;
    handles[1].hidden = until > 1.0001;
    handles.forEach((handle, i) => {
      const moment = i === 0 ? range.from : range.until;
      const values = {min: timeline.first, max: timeline.end, now: moment};
      for (const [name, value] of Object.entries(values)) handle.setAttribute(`aria-value${name}`, Math.round(value / 1000));
      handle.setAttribute("aria-valuetext", `${tw.clock(moment)} UTC`);
    });
  };

  let hearing = true;
  const announce = (detail) => {
    hearing = false;
    tw.announce("brush", detail);
    hearing = true;
  };
  const settle = () => {
    clearTimeout(telling);
    telling = setTimeout(() => {
      timeline.tell({brush: range ? [range.from, range.until] : []});
      tw.url.set({brush: range ? `${Math.round(range.from / 1000)}..${Math.round(range.until / 1000)}` : null});
      announce(range ? {start: range.from, end: range.until} : null);
    }, SETTLED);
  };

  // Its edges are edges of windows that are held, and it holds one window at least.
  const brush = (from, until) => {
    const starts = timeline.column("start"), ends = timeline.column("end");
    if (!starts.length) return;
    const [low, high] = from <= until ? [from, until] : [until, from];
    const begin = starts[timeline.nearest(low)];
    const finish = Math.max(ends[Math.max(0, timeline.nearest(high - timeline.width))], ends[timeline.nearest(low)]);
    if (range && range.from === begin && range.until === finish) return;
    range = {from: begin, until: finish};
    place();
    settle();
  };
  const clear = () => {
    if (!range && growing === null) return;
    range = growing = null;
    place();
    settle();
  };
  const brushFromCursor = () => {
    const at = timeline.cursor ?? timeline.column("start").at(-1);
    if (at === undefined) return;
    if (timeline.cursor === null) timeline.point(at);
    if (growing === null) {
      growing = at;
      brush(at, at + timeline.width);
    } else {
      grow(at);
      growing = null;
    }
    place();
  };
  const grow = (at) => brush(Math.min(growing, at), Math.max(growing, at) + timeline.width);

  Object.assign(timeline, {brush, clearBrush: clear, brushFromCursor});
  Object.defineProperty(timeline, "brushed", {get: () => range});

  window.addEventListener("tracewave:view", place);
  window.addEventListener("tracewave:cursor", ({detail}) => { if (growing !== null && detail !== null) grow(detail); });
  window.addEventListener("tracewave:brush", ({detail}) => {
    if (!hearing) return;
    if (detail) brush(detail.start, detail.end);
    else clear();
  });
  window.addEventListener("tracewave:restored", () => {
    const [from, until] = (tw.url.get("brush") ?? "").split("..").map((seconds) => Number(seconds) * 1000);
    if (until > from && from >= timeline.first && until <= timeline.end) brush(from, until);
    else tw.url.set({brush: null});
  });
})();

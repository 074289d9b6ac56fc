/* What lies over the plots: the cursor with its time, the figures of the time axis, the episodes' marks and names,
   and the words over gaps and backfilled stretches. Drawn as elements, so that moving them draws no plot again. */
(() => {
  const tw = window.tracewave;
  const glass = document.getElementById("glass");
  if (!glass) return;
  const {element, timeline} = tw;
  const scrub = document.getElementById("scrub");
  const GAP = 2, BACKFILLED = 3, TOLD_AGAIN = 4; // as the column `quality` counts
  const MARK = 13, ROOM = 6, SHORT = 70, FLAG = 31, TICK = 27; // pixels
  const rail = element("div", "episodes"), stretches = element("div", "stretches"), axis = element("div", "axis");
  const line = element("div", "cursor"), flag = element("div", "flag");
  axis.setAttribute("aria-hidden", "true");
  line.hidden = flag.hidden = true;
  glass.append(stretches, rail, axis, line, flag);
  let episodes = [], runs = [], source = null;

  const put = (node, left, width = null) => {
    node.style.transform = `translateX(${left.toFixed(2)}px)`;
    if (width !== null) node.style.width = `${Math.max(0, width).toFixed(2)}px`;
  };

  /* Episodes: a bar, a mark, and a name where there is room for it; names that collide drop to the mark. */
  const readEpisodes = () => {
    const column = (name) => source.get_column(name) ?? [];
    const ids = column("id"), starts = column("start"), ends = column("end"), titles = column("title"), severities = column("severity");
    episodes = [...ids.keys()].sort((a, b) => starts[a] - starts[b]).map((i) => {
      const bar = element("i", `bar ${severities[i]}`), button = element("button", `episode ${severities[i]}`), name = element("span", "", titles[i]);
      button.type = "button";
      button.title = titles[i];
      button.setAttribute("aria-label", `${severities[i]}: ${titles[i]}, ${tw.clock(starts[i])}`);
      button.append(tw.severityMark(severities[i], MARK - 2), name);
      button.addEventListener("click", () => tw.announce("open-card", {id: ids[i]}));
      return {start: starts[i], end: ends[i], button, bar, name, wide: 0};
    });
    rail.replaceChildren(...episodes.flatMap(({bar, button}) => [bar, button]));
    place();
  };

  /* Runs of windows that are missing or were filled in later. */
  const readRuns = () => {
    const starts = timeline.column("start"), ends = timeline.column("end"), quality = timeline.column("quality");
    const found = [];
    for (let i = 0; i < starts.length; i++) {
      const kind = quality[i] === GAP ? "gap" : quality[i] === BACKFILLED || quality[i] === TOLD_AGAIN ? "backfilled" : "";
      const run = found.at(-1);
      if (run && run.kind === kind && run.end === starts[i]) run.end = ends[i];
      else if (kind) found.push({kind, start: starts[i], end: ends[i]});
      else if (run) found.push({kind: "", start: starts[i], end: ends[i]});
    }
    const told = found.filter(({kind}) => kind);
    if (told.length !== runs.length) {
      runs = told.map((run) => ({...run, box: element("i", `box ${run.kind}`), word: element("span", ""), wide: 0}));
      stretches.replaceChildren(...runs.flatMap(({box, word}) => [box, word]));
    }
    told.forEach((run, place) => {
      const {box, word} = Object.assign(runs[place], run);
      box.className = `box ${run.kind}`;
      const words = run.kind === "gap" ? `gap ${tw.length((run.end - run.start) / 1000)}` : "backfilled";
      if (word.textContent === words) return;
      word.textContent = words;
      runs[place].wide = 0;
    });
  };

  const place = () => {
    const width = glass.clientWidth, pulse = tw.plots?.pulse;
    if (!width || !pulse || !(timeline.until > timeline.from)) return;
    const x = (moment) => timeline.across(moment) * width;
    const inside = (moment) => Math.min(width, Math.max(0, x(moment)));
    const top = pulse.getBoundingClientRect().top - glass.getBoundingClientRect().top;
    glass.style.setProperty("--pulse-top", `${top}px`);
    glass.style.setProperty("--pulse-high", `${pulse.clientHeight}px`);
    placeEpisodes(width, x, inside);
    placeRuns(width, x, inside);
    placeTicks(width, x);
    placeCursor(width, x);
  };

  const measured = (word) => {
    word.hidden = false;
    word.style.maxWidth = "none";
    return word.offsetWidth;
  };
  let taken = [];
  const free = (from, until) => taken.every(([a, b]) => until <= a || from >= b);
  const placeEpisodes = (width, x, inside) => {
    const seen = episodes.filter((each) => {
      const shown = x(each.end) > 0 && x(each.start) < width - 1;
      each.button.hidden = each.bar.hidden = !shown;
      return shown;
    });
    const marks = seen.map(({start}) => Math.min(inside(start), width - MARK));
    taken = marks.map((at) => [at, at + MARK]);
    seen.forEach((each, i) => {
      const {start, end, button, bar, name} = each;
      const wide = (each.wide ||= measured(name));
      const at = marks[i], next = marks[i + 1] ?? width + ROOM;
      const right = next - at - MARK - ROOM, from = Math.max(0, ...taken.filter(([a]) => a < at).map(([, b]) => b + ROOM));
      const left = at - from - ROOM;
      const leftwards = wide > right && left > right && left >= Math.min(wide, SHORT);
      const room = leftwards ? left : right, letters = Math.min(wide, room);
      const named = letters === wide || letters >= SHORT;
      button.classList.toggle("leftwards", named && leftwards);
      name.hidden = !named;
      name.style.maxWidth = `${Math.floor(room)}px`;
      if (named) taken.push(leftwards ? [at - letters - ROOM, at] : [at + MARK, at + MARK + letters + ROOM]);
      put(button, named && leftwards ? at - letters - 4 : at);
      put(bar, inside(start), Math.max(2, inside(end) - inside(start)));
    });
  };

  const placeRuns = (width, x, inside) => {
    for (const run of runs) {
      const {start, end, box, word} = run;
      const wide = (run.wide ||= word.offsetWidth);
      const from = inside(start), until = inside(end);
      box.hidden = until - from < 1;
      put(box, from, until - from);
      const before = Math.max(0, ...taken.filter(([a]) => a < from + 1).map(([, b]) => b + ROOM));
      const at = Math.min(Math.max((from + until - wide) / 2, before), width - wide);
      const fits = !box.hidden && wide > 0 && at + wide / 2 < until + ROOM && free(at, at + wide + ROOM);
      word.style.visibility = fits ? "visible" : "hidden";
      if (!fits) continue;
      taken.push([at, at + wide]);
      put(word, at);
    }
  };

  const placeTicks = (width, x) => {
    const marks = timeline.ticks, at = timeline.cursor === null ? null : flagAt(width, x(timeline.cursor));
    while (axis.children.length < marks.length) axis.append(element("span"));
    [...axis.children].forEach((label, i) => {
      const place = marks[i] === undefined ? -1 : x(marks[i]);
      label.hidden = place < TICK - 8 || place > width - TICK + 8 || (at !== null && Math.abs(place - at) < FLAG + TICK);
      if (label.hidden) return;
      const words = tw.clock(marks[i]).slice(0, innerWidth <= 700 && timeline.tickStep >= 60_000 ? 5 : 8);
      if (label.textContent !== words) label.textContent = words;
      put(label, place);
    });
  };

  const flagAt = (width, at) => Math.min(Math.max(at, FLAG), width - FLAG);
  const placeCursor = (width, x) => {
    const {cursor} = timeline, at = cursor === null ? -1 : x(cursor);
    line.hidden = flag.hidden = cursor === null || at < -0.5 || at > width + 0.5;
    const read = cursor ?? timeline.column("start").at(-1);
    const figure = timeline.column("observed")[timeline.nearest(read)];
    const values = {now: Math.round(read / 1000), min: Math.round(timeline.from / 1000), max: Math.round(timeline.until / 1000), text: `${tw.clock(read)} UTC, ${tw.figure(figure)}`};
    for (const [name, value] of Object.entries(values)) scrub.setAttribute(`aria-value${name}`, value);
    if (line.hidden) return;
    put(line, Math.round(at));
    put(flag, flagAt(width, at));
    flag.textContent = tw.clock(cursor);
  };

  window.addEventListener("tracewave:attached", ({detail}) => {
    source = detail.get_model_by_name("episodes");
    source.properties.data.change.connect(readEpisodes);
  });
  window.addEventListener("tracewave:restored", () => {
    readEpisodes();
    // Names were measured before their font came.
    document.fonts.load('600 11px "Inter Variable"').then(() => {
      for (const each of [...episodes, ...runs]) each.wide = 0;
      place();
    });
  });
  window.addEventListener("tracewave:rows", readRuns);
  window.addEventListener("tracewave:view", place);
  window.addEventListener("tracewave:cursor", () => {
    const width = glass.clientWidth, x = (moment) => timeline.across(moment) * width;
    placeTicks(width, x);
    placeCursor(width, x);
  });
})();

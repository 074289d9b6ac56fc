// Charts of the Health page as SVG. A chart is drawn again when its data or its room change; nothing moves in between.
const HATCH = {width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"};
const LADDER = [0.001, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 100000];
const stepsOfTime = [5, 10, 15, 30, 60, 120, 300, 600, 900];

const figureOf = (value) => (known(value) ? (Math.abs(value) < 10 ? value.toFixed(2) : Math.abs(value) < 1000 ? value.toFixed(1) : Math.round(value).toLocaleString("en")) : "–");

// One chart: its panel with title and legend, the legend reading the last values or those under the cursor.
const chart = (tw, spec) => {
  const {element} = tw;
  const panel = element("section", "panel chart"), head = element("div", "ph"), title = element("h3", "t"), at = element("span", "q n"), legend = element("div", "lg n"), room = element("div", "room");
  head.append(title, at, element("span", "sp"), legend);
  panel.append(head, room);
  const figures = spec.lines.map(({name, colour}) => {
    const item = element("span", ""), mark = element("i"), value = element("b", "", "–");
    mark.style.background = `var(${colour})`;
    item.append(mark, name, value);
    legend.append(item);
    return value;
  });
  let held = null, cursor = null, xs = [];
  const read = (place) => {
    const index = place ?? (held ? held.times.length - 1 : -1);
    figures.forEach((value, line) => { value.textContent = figureOf(held?.series[line][index]); });
    at.textContent = place === null || !held ? "" : tw.clock(1000 * held.times[place]);
    if (!cursor) return;
    cursor.setAttribute("visibility", place === null ? "hidden" : "visible");
    if (place !== null) for (const end of ["x1", "x2"]) cursor.setAttribute(end, Math.round(xs[place]) + 0.5);
  };
  const draw = () => {
    const width = room.clientWidth, height = 150, left = 38, right = 12, top = 10, bottom = 22;
    title.textContent = `${spec.title}, ${held && !held.whole ? "since the start" : "last hour"}${spec.unit ? `, ${spec.unit}` : ""}`;
    if (width < 80) return;
    if (!held || !held.series.some((values) => values.some(known))) {
      cursor = null;
      room.replaceChildren(element("p", "none", held ? spec.empty : "The first figures come within ten seconds."));
      return;
    }
    const all = held.series.flat().filter(known), highest = Math.max(...all), positive = all.filter((value) => value > 0);
    let low = 0, high = Math.max(spec.least, highest * 1.08), ticks;
    if (spec.log) {
      const smallest = positive.length ? Math.min(...positive) : 1;
      low = Math.max(0.001, LADDER.findLast((each) => each <= Math.min(1, smallest)) ?? 0.001) * 0.7;
      high = (LADDER.find((each) => each >= Math.max(spec.least, highest)) ?? 1e5) * 1.3;
      ticks = LADDER.filter((each) => each >= low && each <= high);
      while (ticks.length > 5) ticks = ticks.filter((_, place) => (ticks.length - 1 - place) % 2 === 0);
    } else ticks = plainTicks(high);
    const scale = spec.log ? Math.log : (value) => value;
    const begin = held.end - Math.max(60, held.end - held.begin);
    const X = (time) => left + ((time - begin) / (held.end - begin)) * (width - left - right);
    const Y = (value) => height - bottom - ((scale(Math.max(value, spec.log ? low : 0)) - scale(low)) / (scale(high) - scale(low))) * (height - top - bottom);
    const said = spec.lines.map(({name}, line) => `${name} ${figureOf(held.series[line].at(-1))}`).join(", ");
    const svg = canvas(width, height, `${title.textContent}: ${said}${spec.spoken ? ` ${spec.spoken}` : ""} at ${tw.clock(1000 * held.end)}`);
    for (const tick of ticks) {
      const y = Math.round(Y(tick)) + 0.5;
      shape(svg, "line", {x1: left, x2: width - right, y1: y, y2: y, class: "grid"});
      shape(svg, "text", {x: left - 6, y: y + 3, "text-anchor": "end"}, tick.toLocaleString("en"));
    }
    const size = stepsOfTime.find((each) => (held.end - begin) / each <= Math.max(2, Math.min(4.5, width / 75))) ?? 1800;
    for (let time = Math.ceil(begin / size) * size; time <= held.end; time += size) {
      const x = X(time), words = tw.clock(1000 * time).slice(0, size < 60 ? 8 : 5), half = 3.1 * words.length;
      if (x > left + half - 20 && x < width - half) shape(svg, "text", {x: x.toFixed(1), y: height - 6, "text-anchor": "middle"}, words);
    }
    const hatch = shape(shape(svg, "defs", {}), "pattern", {...HATCH, id: `hatch-${spec.id}`});
    shape(hatch, "line", {x1: 0, x2: 0, y1: 0, y2: 6, stroke: "var(--hatch)", "stroke-width": 1.4});
    for (const [from, to] of held.cuts) {
      const x = Math.max(left, X(from));
      shape(svg, "rect", {x, y: top, width: Math.max(3, X(Math.min(to, held.end)) - x), height: height - top - bottom, fill: `url(#hatch-${spec.id})`, opacity: 0.75});
    }
    if (spec.bar) {
      const y = Math.round(Y(held.bar)) + 0.5;
      shape(svg, "line", {x1: left, x2: width - right, y1: y, y2: y, class: "bar"});
      shape(svg, "text", {x: width - right, y: y - 5, "text-anchor": "end", class: "word"}, `bar ${held.bar} ms`);
    }
    xs = held.times.map(X);
    for (const line of spec.lines.map((_, place) => place).reverse()) {
      const {colour, width: thick} = spec.lines[line];
      const ys = held.series[line].map((value, place) => (known(value) ? Y(value) : NaN));
      const broken = xs.flatMap((x, place) => (place && held.times[place] - held.times[place - 1] > 25 ? [[x, NaN], [x, ys[place]]] : [[x, ys[place]]]));
      shape(svg, "path", {d: path(broken.map(([x]) => x), broken.map(([, y]) => y)), class: "ln", stroke: `var(${colour})`, "stroke-width": thick});
    }
    cursor = shape(svg, "line", {y1: top, y2: height - bottom, class: "cursor", visibility: "hidden"});
    room.replaceChildren(svg);
    read(null);
  };
  room.addEventListener("pointermove", (event) => {
    if (!held || !cursor) return;
    const x = event.clientX - room.getBoundingClientRect().left;
    read(xs.reduce((best, each, place) => (Math.abs(each - x) < Math.abs(xs[best] - x) ? place : best), 0));
  });
  room.addEventListener("pointerleave", () => read(null));
  new ResizeObserver(draw).observe(room);
  draw();
  return {panel, show: (past, series) => { held = {...past, series}; draw(); }};
};

// A sparkline in a box of its own size: a line with its last point, or bars.
const drawSpark = (box, values, bars, over, words) => {
  const width = 84, height = 26, finite = values.filter(known);
  const svg = canvas(width, height, words);
  svg.removeAttribute("role");
  svg.removeAttribute("aria-label");
  svg.setAttribute("aria-hidden", "true");
  const colour = over ? "var(--warning)" : "var(--live)";
  if (bars) {
    const most = Math.max(...finite, 1e-9), size = width / Math.max(12, values.length), first = width - size * values.length;
    shape(svg, "line", {x1: 0, x2: width, y1: 22.5, y2: 22.5, stroke: "var(--line-strong)", "stroke-dasharray": "2 2"});
    values.forEach((value, place) => {
      if (!(value > 0)) return;
      const tall = Math.max(2, 18 * (value / most));
      shape(svg, "rect", {x: (first + place * size + 0.5).toFixed(1), y: (23 - tall).toFixed(1), width: Math.max(1, size - 1).toFixed(1), height: tall.toFixed(1), fill: over ? "var(--warning)" : "var(--live-dim)"});
    });
  } else if (finite.length) {
    const highest = Math.max(...finite) * 1.15 || 1;
    const xs = values.map((_, place) => 1 + (place * (width - 5)) / Math.max(1, values.length - 1));
    const ys = values.map((value) => (known(value) ? 23 - 20 * (Math.max(0, value) / highest) : NaN));
    shape(svg, "path", {d: path(xs, ys), class: "ln", stroke: colour, "stroke-width": 1.2});
    const last = ys.findLastIndex(known);
    shape(svg, "circle", {cx: xs[last].toFixed(1), cy: ys[last].toFixed(1), r: 2.2, fill: colour});
  } else shape(svg, "line", {x1: 0, x2: width, y1: 22.5, y2: 22.5, stroke: "var(--text-3)", "stroke-width": 1.2, "stroke-dasharray": "1 4", "stroke-linecap": "round"});
  box.replaceChildren(svg);
};

// Lags on a log axis, with the quantiles.
const drawHistogram = (room, histogram, element) => {
  const width = room.clientWidth, height = room.clientHeight || 170, left = 12, right = 12, top = 52, bottom = 22;
  if (width < 80) return;
  if (!histogram) { room.replaceChildren(element("p", "none", "No event has told its lag yet.")); return; }
  const {edges, counts, quantiles} = histogram, names = ["median", "95th", "99th"];
  const first = counts.findIndex(Boolean), last = counts.findLastIndex(Boolean);
  const low = Math.log(edges[Math.max(0, first - 3)]), high = Math.log(edges[Math.min(counts.length, last + 5)]), most = Math.max(...counts);
  const X = (seconds) => left + ((Math.log(Math.min(Math.max(seconds, edges[0]), edges.at(-1))) - low) / (high - low)) * (width - left - right);
  const floor = height - bottom;
  const svg = canvas(width, height, `Lag of the last ${histogram.events.toLocaleString("en")} events: ${names.map((name, place) => `${name} ${figureOf(quantiles[place])} s`).join(", ")}`);
  counts.forEach((count, place) => {
    if (!count) return;
    const tall = Math.max(1, (count / most) * (floor - top)), x = X(edges[place]);
    shape(svg, "rect", {x: (x + 0.6).toFixed(1), y: (floor - tall).toFixed(1), width: Math.max(1, X(edges[place + 1]) - x - 1.2).toFixed(1), height: tall.toFixed(1), fill: edges[place] > quantiles[2] ? "var(--text-3)" : "var(--live-dim)"});
  });
  shape(svg, "line", {x1: left, x2: width - right, y1: floor + 0.5, y2: floor + 0.5, class: "grid"});
  let free = -Infinity;
  for (const tick of [0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100]) {
    const x = X(tick), words = tick === 100 ? "100 s" : `${tick} s`;
    if (Math.log(tick) < low - 1e-9 || Math.log(tick) > high + 1e-9 || x - 16 < free || x > width - 18 || x < 18) continue;
    shape(svg, "text", {x: x.toFixed(1), y: height - 6, "text-anchor": "middle"}, words);
    free = x + 34;
  }
  // A staircase above the bars: each line begins at its own word, so none crosses another's.
  quantiles.forEach((value, place) => {
    const x = Math.round(X(value)) + 0.5, flipped = x + 92 > width, y = 17 + 14 * place;
    shape(svg, "line", {x1: x, x2: x, y1: y - 9, y2: floor, class: "mark"});
    shape(svg, "text", {x: x + (flipped ? -5 : 5), y, "text-anchor": flipped ? "end" : "start", class: "word"}, `${names[place]} ${figureOf(value)} s`);
  });
  room.replaceChildren(svg);
};

// Lines, bars and heat maps of an answer, as SVG. Each returns what it drew, what it left out in words, and what lies at a point.
const HUES = ["--live", "--d-novelty", "--d-trees", "--d-ewma", "--d-z", "--warning", "--expected", "--text-2"];
const DASHES = ["", "5 3", "2 2.5", "7 2 2 2", "", "5 3", "2 2.5", "7 2 2 2"];
const OWN_HUES = {critical: "--critical", warning: "--warning", info: "--info", zscore: "--d-z", ewma: "--d-ewma", trees: "--d-trees", novelty: "--d-novelty", seasonal: "--d-seasonal"};
const MOST_SERIES = 8, BAR_LOW = 14, BAR_HIGH = 30;
const hueOf = (name, place) => `var(${OWN_HUES[name] ?? HUES[place % HUES.length]})`;

const ticksBetween = (low, high, parts, whole = false) => {
  const size = Math.max(whole ? 1 : 0, step(high - low, parts)), ticks = [];
  for (let tick = Math.ceil(low / size - 1e-9) * size; tick <= high + size * 1e-9; tick += size) ticks.push(+tick.toPrecision(12));
  return ticks;
};
const shortFigure = (value) => {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)} M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)} k`;
  return (+value.toPrecision(4)).toLocaleString("en", {maximumFractionDigits: 6}).replace("-", "−");
};
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000].map((seconds) => 1000 * seconds);
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const dayWords = (moment) => { const day = new Date(moment); return `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]}`; };
const tickWords = (moment, size) => (size >= 86_400_000 || moment % 86_400_000 === 0 ? dayWords(moment) : new Date(moment).toISOString().slice(11, size < 60_000 ? 19 : 16));
const cutWords = (words, wide, size = 6.1) => (words.length * size <= wide ? words : `${words.slice(0, Math.max(1, Math.floor(wide / size) - 1))}…`);
const range = (values) => { let low = Infinity, high = -Infinity; for (const value of values) { if (value < low) low = value; if (value > high) high = value; } return [low, high]; };

const axisAcross = (svg, scale, {left, right, width, height, bottom, time}) => {
  const [low, high] = scale.domain, room = Math.max(2, (width - left - right) / 78);
  const size = time ? TIME_STEPS.find((each) => (high - low) / each <= room) ?? TIME_STEPS.at(-1) : 0;
  const ticks = time ? [] : ticksBetween(low, high, room);
  if (time) for (let tick = Math.ceil(low / size) * size; tick <= high; tick += size) ticks.push(tick);
  for (const tick of ticks) {
    const x = scale(tick), words = time ? tickWords(tick, size) : shortFigure(tick), half = 3.1 * words.length;
    if (x - half > left - 26 && x + half < width - 2) shape(svg, "text", {x: x.toFixed(1), y: height - bottom + 15, "text-anchor": "middle"}, words);
  }
};
const axisUp = (svg, Y, low, high, {left, right, width, parts, whole}) => {
  for (const tick of ticksBetween(low, high, parts, whole)) {
    const y = Math.round(Y(tick)) + 0.5;
    shape(svg, "line", {x1: left, x2: width - right, y1: y, y2: y, class: tick === 0 ? "grid zero" : "grid"});
    shape(svg, "text", {x: left - 6, y: y + 3, "text-anchor": "end"}, shortFigure(tick));
  }
};
const linear = (low, high, from, until) => Object.assign((value) => from + ((value - low) / (high - low || 1)) * (until - from), {domain: [low, high]});

// The largest series; the others are said, not drawn.
const largest = (rows, most) => {
  const sizes = new Map();
  for (const {by, y} of rows) sizes.set(by, (sizes.get(by) ?? 0) + Math.abs(y));
  const names = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a));
  return {names: names.slice(0, most), all: names.length};
};
const addedUp = (rows, keyOf) => {
  const sums = new Map();
  let twice = false;
  for (const row of rows) {
    const key = keyOf(row);
    if (sums.has(key)) { twice = true; sums.get(key).y += row.y; } else sums.set(key, {...row});
  }
  return {rows: [...sums.values()], twice};
};

// Of one that was open when it was picked only the beginning is known.
const pickedWords = ({open}) => (open ? "where the picked anomaly opened" : "the picked anomaly");

const drawLines = (rows, spec, {width, height}) => {
  const {names, all} = largest(rows, MOST_SERIES), notes = [];
  if (all > names.length) notes.push(`the ${names.length} largest of ${all} series`);
  const time = spec.xKind === "time", [first, last] = range(rows.map(({x}) => x));
  const series = names.map((by) => rows.filter((row) => row.by === by).sort((a, b) => a.x - b.x));
  let [low, high] = range(series.flat().map(({y}) => y));
  if (low > 0 && low < 0.75 * high) low = 0;
  if (high < 0 && high > 0.75 * low) high = 0;
  if (low === high) { low = Math.min(0, low); high = high > 0 ? high * 1.2 : high + 1; }
  high += 0.06 * (high - low);
  if (low < 0) low -= 0.06 * (high - low);
  const left = 46, right = 14, top = 10, bottom = 24, svg = canvas(width, height, spec.words);
  const X = linear(first, last, first === last ? (left + width - right) / 2 : left, width - right), Y = linear(low, high, height - bottom, top);
  axisUp(svg, Y, low, high, {left, right, width, whole: spec.whole, parts: Math.max(2, Math.min(6, height / 50))});
  axisAcross(svg, X, {left, right, width, height, bottom, time});
  const {picked} = spec;
  if (time && picked && picked.from <= last && picked.until >= first && first < last) {
    const begin = X(Math.max(first, picked.from)), end = X(Math.min(last, picked.until));
    shape(svg, "rect", {class: "picked", x: begin.toFixed(1), y: top, width: Math.max(2, end - begin).toFixed(1), height: height - top - bottom});
    notes.push(`the shade marks ${pickedWords(picked)}`);
  }
  const steps = [...new Set(rows.map(({x}) => x))].sort((a, b) => a - b).map((x, at, xs) => (at ? x - xs[at - 1] : Infinity)).filter(known).sort((a, b) => a - b);
  const hole = 3 * (steps[Math.floor(steps.length / 2)] ?? Infinity);
  series.forEach((points, place) => {
    const broken = points.flatMap((point, at) => (at && point.x - points[at - 1].x > hole ? [{x: point.x, y: NaN}, point] : [point]));
    const line = {class: "ln", stroke: hueOf(names[place], place), "stroke-width": points.length > 600 ? 1.1 : 1.6, ...(DASHES[place] && points.length > 2 && names.length > 1 ? {"stroke-dasharray": DASHES[place]} : {})};
    shape(svg, "path", {d: path(broken.map(({x}) => X(x)), broken.map(({y}) => Y(y))), ...line});
    broken.forEach((point, at) => {
      if (known(point.y) && !known(broken[at - 1]?.y) && !known(broken[at + 1]?.y)) shape(svg, "circle", {cx: X(point.x).toFixed(1), cy: Y(point.y).toFixed(1), r: 2.6, fill: line.stroke});
    });
  });
  if (series.some((points) => points.some(({x}, at) => at && x - points[at - 1].x > hole))) notes.push("the line is broken where rows are missing");
  const cursor = shape(svg, "line", {y1: top, y2: height - bottom, class: "cursor", visibility: "hidden"});
  const xs = [...new Set(rows.map(({x}) => x))];
  const at = (px) => {
    if (px === null || !xs.length) { cursor.setAttribute("visibility", "hidden"); return null; }
    const x = xs.reduce((best, each) => (Math.abs(X(each) - px) < Math.abs(X(best) - px) ? each : best), xs[0]);
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, (Math.round(X(x)) + 0.5).toFixed(1));
    cursor.setAttribute("visibility", "visible");
    return {words: spec.sayX(x), values: series.map((points) => points.find((point) => point.x === x)?.y)};
  };
  return {svg, notes, at, legend: spec.by === null ? [] : names.map((name, place) => ({name, hue: hueOf(name, place), dash: Boolean(DASHES[place])}))};
};

const drawBars = (given, spec, {width, height}) => {
  const notes = [], {names, all} = largest(given, MOST_SERIES);
  if (all > names.length) notes.push(`the ${names.length} largest of ${all} series`);
  const kept = new Set(names), {rows, twice} = addedUp(given.filter(({by}) => kept.has(by)), ({x, by}) => JSON.stringify([x, by]));
  if (twice && !spec.counted) notes.push("rows with the same place are added up");
  const flat = spec.xKind === "text" || spec.xKind === "bool"; // names stand at the left, with room to be read
  const sizeOf = (x) => rows.reduce((sum, row) => (row.x === x ? sum + row.y : sum), 0);
  let places = [...new Set(rows.map(({x}) => x))];
  if (!flat) places.sort((a, b) => a - b);
  else if (spec.counted) places.sort((a, b) => sizeOf(b) - sizeOf(a));
  const most = flat ? Math.max(3, Math.floor((height - 32) / BAR_LOW)) : Math.max(4, Math.floor((width - 66) / 5));
  if (places.length > most) { notes.push(`${flat || spec.sorted ? "the first" : "the last"} ${most} of ${places.length}`); places = flat || spec.sorted ? places.slice(0, most) : places.slice(-most); }
  const stacks = places.map(() => ({up: 0, down: 0, parts: []})), at = new Map(places.map((x, place) => [x, place]));
  for (const by of names) for (const row of rows) {
    const place = row.by === by ? at.get(row.x) : undefined;
    if (place === undefined || !row.y) continue;
    const stack = stacks[place], side = row.y > 0 ? "up" : "down";
    stack.parts.push({by, from: stack[side], until: stack[side] += row.y, y: row.y});
  }
  const low = Math.min(0, ...stacks.map(({down}) => down)), high = Math.max(low < 0 ? 0 : 1e-12, ...stacks.map(({up}) => up));
  const svg = canvas(width, height, spec.words), top = 8, bottom = 24, right = 14;
  const left = flat ? Math.min(Math.max(60, 6.1 * Math.max(...places.map((x) => String(x).length)) + 12), width * 0.42) : 46;
  const across = flat ? height - top - bottom : width - left - right, one = Math.min(flat ? BAR_HIGH : 60, across / Math.max(1, places.length)), floor = flat ? top + Math.ceil(one * places.length) : height - bottom;
  const V = flat ? linear(low, high, left, width - right - 8) : linear(low, high * 1.04, height - bottom, top);
  if (flat) {
    for (const tick of ticksBetween(low, high, Math.max(2, (width - left) / 90), spec.whole)) {
      const x = Math.round(V(tick)) + 0.5;
      shape(svg, "line", {x1: x, x2: x, y1: top, y2: floor, class: tick === 0 ? "grid zero" : "grid"});
      const words = shortFigure(tick);
      if (x + 3.1 * words.length < width - 2) shape(svg, "text", {x, y: floor + 15, "text-anchor": "middle"}, words);
    }
  } else axisUp(svg, V, low, high * 1.04, {left, right, width, whole: spec.whole, parts: Math.max(2, Math.min(6, height / 50))});
  const gap = Math.min(6, one * 0.24);
  const begin = (place) => (flat ? top : left) + place * one + gap / 2;
  stacks.forEach(({parts}, place) => {
    if (flat) shape(shape(svg, "text", {x: left - 8, y: begin(place) + (one - gap) / 2 + 4, "text-anchor": "end", class: "word"}, cutWords(String(places[place]), left - 12)), "title", {}, String(places[place]));
    for (const {by, from, until} of parts) {
      const size = {from: Math.min(V(from), V(until)), long: Math.max(1, Math.abs(V(until) - V(from)))}, fill = spec.by === null && until < 0 ? "var(--below)" : hueOf(by, names.indexOf(by));
      shape(svg, "rect", flat
        ? {x: size.from.toFixed(1), y: begin(place).toFixed(1), width: size.long.toFixed(1), height: (one - gap).toFixed(1), fill, rx: 1}
        : {x: begin(place).toFixed(1), y: size.from.toFixed(1), width: Math.max(1, one - gap).toFixed(1), height: size.long.toFixed(1), fill, rx: 1});
    }
  });
  if (!flat) {
    let free = -Infinity;
    places.forEach((x, place) => {
      const words = spec.shortX(x), middle = begin(place) + (one - gap) / 2, half = 3.1 * words.length;
      if (middle - half < free || middle + half > width) return;
      shape(svg, "text", {x: middle.toFixed(1), y: height - bottom + 15, "text-anchor": "middle"}, words);
      free = middle + half + 10;
    });
  }
  const band = shape(svg, "rect", {class: "band", visibility: "hidden", ...(flat ? {x: 0, width, height: one} : {y: top, width: one, height: height - top - bottom})});
  const read = (px, py) => {
    const place = px === null ? -1 : Math.floor(((flat ? py : px) - (flat ? top : left)) / one);
    band.setAttribute("visibility", places[place] === undefined ? "hidden" : "visible");
    if (places[place] === undefined) return null;
    band.setAttribute(flat ? "y" : "x", (begin(place) - gap / 2).toFixed(1));
    return {words: spec.sayX(places[place]), values: names.map((by) => stacks[place].parts.find((part) => part.by === by)?.y)};
  };
  return {svg, notes, at: read, legend: spec.by === null ? [] : names.map((name, place) => ({name, hue: hueOf(name, place)}))};
};

const drawHeat = (given, spec, {width, height}) => {
  const notes = [], {rows, twice} = addedUp(given, ({x, by}) => JSON.stringify([x, by]));
  if (twice && !spec.counted) notes.push("rows with the same place are added up");
  const left0 = 12, bottom = 44, top = 4, right = 4;
  const {names, all} = largest(rows, Math.max(2, Math.floor((height - top - bottom) / 15)));
  if (all > names.length) notes.push(`the ${names.length} largest of ${all}`);
  const kept = new Set(names), cells = rows.filter(({by}) => kept.has(by));
  let places = [...new Set(cells.map(({x}) => x))];
  if (spec.xKind !== "text" && spec.xKind !== "bool") places.sort((a, b) => a - b);
  if (spec.xKind === "time" && places.length > 2) { // what is missing stays an empty column
    const size = Math.min(...places.slice(1).map((x, at) => x - places[at])), count = Math.round((places.at(-1) - places[0]) / size) + 1;
    if (count <= 2000 && places.every((x) => (x - places[0]) % size === 0)) places = Array.from({length: count}, (_, at) => places[0] + at * size);
  }
  const left = Math.min(left0 + 6.1 * Math.max(...names.map((name) => name.length)), Math.max(70, width * 0.3)), most = Math.floor((width - left - right) / 3);
  if (places.length > most) { notes.push(`the last ${most} of ${places.length} columns`); places = places.slice(-most); }
  const [least, greatest] = range(cells.map(({y}) => y)), far = Math.max(Math.abs(least), Math.abs(greatest)) || 1;
  const shade = (y) => ({fill: `var(${y < 0 ? "--below" : "--live"})`, opacity: (0.07 + 0.93 * Math.abs(y) / far).toFixed(3)});
  const svg = canvas(width, height, spec.words), wide = (width - left - right) / places.length, high = Math.min(34, (height - top - bottom) / names.length);
  const column = new Map(places.map((x, place) => [x, place])), found = new Map(), gap = wide > 5 ? 1 : 0;
  names.forEach((name, line) => {
    shape(svg, "rect", {x: left, y: (top + line * high + 0.5).toFixed(1), width: (width - left - right).toFixed(1), height: (high - 1).toFixed(1), fill: "var(--grid)", opacity: 0.55});
    shape(shape(svg, "text", {x: left - 8, y: top + line * high + high / 2 + 4, "text-anchor": "end", class: "word"}, cutWords(name, left - left0)), "title", {}, name);
  });
  for (const {x, by, y} of cells) {
    const place = column.get(x), line = names.indexOf(by);
    if (place === undefined) continue;
    found.set(`${place} ${line}`, y);
    shape(svg, "rect", {x: (left + place * wide + gap / 2).toFixed(1), y: (top + line * high + 0.5).toFixed(1), width: Math.max(1, wide - gap).toFixed(1), height: (high - 1).toFixed(1), rx: gap, ...shade(y)});
  }
  let free = -Infinity;
  const size = spec.xKind === "time" && places.length > 1 ? TIME_STEPS.find((each) => each * ((width - left) / 60) >= places.at(-1) - places[0]) ?? 1 : 0;
  places.forEach((x, place) => {
    const words = spec.shortX(x), middle = left + (place + 0.5) * wide, half = 3.1 * words.length;
    if ((size && x % size) || middle - half < Math.max(free, left - 20) || middle + half > width) return;
    shape(svg, "text", {x: middle.toFixed(1), y: top + names.length * high + 14, "text-anchor": "middle"}, words);
    free = middle + half + 8;
  });
  const low = least < 0 ? -far : 0, steps = 12, ends = [shortFigure(low), shortFigure(far)], begin = left + 6.4 * ends[0].length + 6;
  shape(svg, "text", {x: left, y: height - 7}, ends[0]);
  for (let place = 0; place <= steps; place++) shape(svg, "rect", {x: begin + place * 12, y: height - 16, width: 11, height: 9, ...shade(low + ((far - low) * place) / steps)});
  shape(svg, "text", {x: begin + 13 * 12 + 6, y: height - 7}, ends[1]);
  if (spec.picked && spec.xKind === "time" && places.length > 1) { // its columns, and of those the cells that it is put down to
    const {from, until, values} = spec.picked, size = Math.min(...places.slice(1).map((x, at) => x - places[at])), lines = names.flatMap((name, line) => (values.includes(name) ? [line] : []));
    const columns = places.flatMap((x, place) => (x <= until && x + size > from ? [place] : []));
    const boxed = (y, tall) => shape(svg, "rect", {class: "box", x: (left + columns[0] * wide).toFixed(1), y: y.toFixed(1), width: (wide * columns.length).toFixed(1), height: tall.toFixed(1)});
    if (columns.length) {
      if (lines.length) for (const line of lines) boxed(top + line * high, high);
      else boxed(top + 0.5, names.length * high - 1);
      notes.push(`the box marks ${pickedWords(spec.picked)}`);
    }
  }
  const box = shape(svg, "rect", {class: "box over", width: wide.toFixed(1), height: high.toFixed(1), visibility: "hidden"});
  const read = (px, py) => {
    const place = px === null ? -1 : Math.floor((px - left) / wide), line = px === null ? -1 : Math.floor((py - top) / high), inside = places[place] !== undefined && names[line] !== undefined;
    box.setAttribute("visibility", inside ? "visible" : "hidden");
    if (!inside) return null;
    box.setAttribute("x", (left + place * wide).toFixed(1));
    box.setAttribute("y", (top + line * high).toFixed(1));
    return {words: `${spec.sayX(places[place])}, ${names[line]}`, values: [found.get(`${place} ${line}`)], none: "no row"};
  };
  return {svg, notes, at: read, legend: []};
};

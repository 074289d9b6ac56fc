// Figures and sparklines come from the page's own table; what is usual comes from the last hour, as the server knows it.
const SVG = "http://www.w3.org/2000/svg";
const STRIPE = 6, EDGE = 3; // pixels between two stripes of a gap; room above and below a line
const LONGEST = 1.5; // windows between two points that a line still joins

export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const shape = (name, attributes, parent) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return parent.appendChild(made);
  };
  const tiles = element("div", "tiles");
  const parts = model.tiles.map((tile) => {
    const box = element("div", "tile"), value = element("div", "v n"), usual = element("div", "u n"), spark = document.createElementNS(SVG, "svg");
    spark.setAttribute("class", "spark");
    spark.setAttribute("aria-hidden", "true");
    const gaps = shape("path", {class: "gaps"}, spark), level = shape("path", {class: "level"}, spark), path = shape("path", {class: "line"}, spark), dot = shape("circle", {class: "dot", r: 2.4}, spark);
    box.append(element("h3", "", tile.heading), value, spark, usual);
    tiles.append(box);
    return {tile, box, value, usual, spark, gaps, level, path, dot};
  });

  const rate = model.tiles.find((tile) => tile.name === "rate"), counting = rate ? `feature_${rate.feature}` : "";
  const ofEvents = (tile) => counting !== "" && (tile.kind === "share" || tile.kind === "price");

  /* Sparkline */
  const ceiling = (tile, values, median) => {
    if (tile.kind === "share") return [0, 1];
    const held = Number.isFinite(median) ? [...values, median] : values;
    const low = Math.min(...held), high = Math.max(...held);
    if (tile.kind === "price") return [low, Math.max(high, low * (1 + 1e-6) + 1e-9)];
    return [0, Math.max(high, 1e-9)];
  };
  const stripes = (from, until, height) => {
    let path = "";
    for (let at = from - height; at < until; at += STRIPE) {
      const left = Math.max(at, from), right = Math.min(at + height, until);
      if (right > left) path += `M${left.toFixed(1)} ${(height - (left - at)).toFixed(1)}L${right.toFixed(1)} ${(height - (right - at)).toFixed(1)}`;
    }
    return path;
  };
  const draw = ({tile, spark, gaps, level, path, dot}, usual) => {
    const width = spark.clientWidth, height = spark.clientHeight;
    const starts = tw.recent("start"), values = tw.recent(`feature_${tile.feature}`);
    if (!width || !starts.length) return;
    // A share or a price of a window without events is 0 and says nothing: the line goes on from the last one.
    const rates = ofEvents(tile) ? tw.recent(counting) : null;
    const known = (value, place) => Number.isFinite(value) && !(rates && rates[place] === 0);
    const finite = values.filter(known), step = Math.min(...starts.slice(1).map((start, place) => start - starts[place]), Infinity);
    if (!finite.length) return;
    const first = starts[0], last = starts.at(-1), [low, high] = ceiling(tile, finite, usual?.[0]);
    const X = (moment) => 1 + ((width - 5) * (moment - first)) / Math.max(1, last - first);
    const Y = (value) => height - EDGE - ((height - 2 * EDGE) * (value - low)) / (high - low);
    let line = "", hatched = "", pen = "M", before = null;
    starts.forEach((start, place) => {
      const value = values[place];
      if (before !== null && start - before > LONGEST * step) pen = "M";
      before = start;
      if (!Number.isFinite(value)) {
        let until = place;
        while (until < values.length && !Number.isFinite(values[until])) until++;
        if (pen === "L" || place === 0) hatched += stripes(X(start), X(starts[until] ?? last), height);
        pen = "M";
      } else if (known(value, place)) {
        line += `${pen}${X(start).toFixed(1)} ${Y(value).toFixed(1)}`;
        pen = "L";
      }
    });
    path.setAttribute("d", line);
    gaps.setAttribute("d", hatched);
    const flat = Number.isFinite(usual?.[0]) ? Y(usual[0]).toFixed(1) : "";
    level.setAttribute("d", flat ? `M1 ${flat}H${width - 4}` : "");
    const shown = known(values.at(-1), values.length - 1);
    dot.style.display = shown ? "" : "none";
    if (shown) { dot.setAttribute("cx", X(last)); dot.setAttribute("cy", Y(values.at(-1))); }
  };

  /* Words */
  const figure = (tile, value) => {
    if (tile.kind === "share") return (100 * value).toFixed(1);
    if (tile.kind === "whole") return Math.round(value).toLocaleString("en");
    if (tile.kind === "price" && value >= 100) return value.toLocaleString("en", value >= 10_000 ? {maximumFractionDigits: 0} : {minimumFractionDigits: 2, maximumFractionDigits: 2});
    if (tile.kind === "price") return value.toPrecision(4);
    return value > 0 && value < 1 ? value.toFixed(2) : tw.figure(value);
  };
  const unit = (tile, row) => {
    if (tile.kind !== "whole" && tile.kind !== "sum") return tile.unit;
    const seconds = Math.round((row.end - row.start) / 1000);
    return seconds <= 1 ? "a second" : `in ${tw.length(seconds)}`;
  };
  // Within what 98 of 100 calm windows hold is "as usual"; a price always says how far it moved.
  const comparison = (tile, value, [median, low, high]) => {
    const inside = value >= low && value <= high;
    if (tile.kind === "price") {
      const moved = 100 * (value / median - 1);
      return Math.abs(moved) < 0.05 ? ["as usual", false] : [`${moved > 0 ? "+" : "−"}${Math.abs(moved).toFixed(1)} %`, !inside];
    }
    if (inside) return ["as usual", false];
    if (tile.kind === "share") {
      const points = Math.round(100 * (value - median));
      return points ? [`${points > 0 ? "+" : "−"}${Math.abs(points)} points`, true] : ["as usual", false];
    }
    const times = value / median;
    if (!Number.isFinite(times)) return ["usually none", true];
    if (Math.abs(times - 1) < 0.05) return ["as usual", false];
    return [`${times < 1 ? times.toFixed(2) : times < 100 ? times.toFixed(1) : Math.round(times).toLocaleString("en")} times usual`, true];
  };
  const words = ({tile, box, usual}, value, row, told) => {
    const typical = told.features?.[tile.name], part = !told.whole && told.seconds > 0;
    const looked = told.seconds < 60 ? `${Math.floor(told.seconds)} s` : `${Math.floor(told.seconds / 60)} min`;
    const of = part ? `usual of ${looked}` : "usual";
    box.classList.toggle("part", part && typical !== undefined);
    if (!typical) {
      usual.title = "Known once half a minute of calm windows was seen";
      return usual.replaceChildren(part ? `usual –, ${looked} seen` : "usual –");
    }
    usual.title = `Median of the calm windows of the last ${told.whole ? "hour" : tw.length(told.seconds)}; 98 of 100 lie between ${figure(tile, typical[1])} and ${figure(tile, typical[2])}`;
    const text = `${of} ${figure(tile, typical[0])}${tile.kind === "share" ? " %" : ""}, `.replace(".0 %", " %");
    if (!Number.isFinite(value)) return usual.replaceChildren(text, "now unknown");
    const [comparing, far] = comparison(tile, value, typical);
    usual.replaceChildren(text, element(far ? "b" : "span", "", comparing));
  };
  const latest = ({tile}, row) => {
    const value = row[`feature_${tile.feature}`];
    if (!ofEvents(tile) || row[counting] !== 0) return value;
    if (tile.kind === "share") return NaN;
    return tw.recent(`feature_${tile.feature}`).findLast((each) => Number.isFinite(each) && each !== 0) ?? NaN;
  };

  let drawn = "";
  const show = (anew = false) => {
    const row = tw.row;
    const key = row ? `${row.start} ${row.feature_0} ${model.usual}` : model.usual;
    if (!anew && key === drawn) return;
    drawn = key;
    const told = JSON.parse(model.usual);
    for (const part of parts) {
      if (!row) {
        part.value.textContent = "–";
        part.usual.textContent = "no window yet";
        continue;
      }
      const value = latest(part, row);
      part.value.replaceChildren(Number.isFinite(value) ? figure(part.tile, value) : "–", element("small", "", unit(part.tile, row)));
      words(part, value, row, told);
      draw(part, told.features?.[part.tile.name]);
    }
  };
  new ResizeObserver(() => show(true)).observe(tiles);
  tw.listen("row", tiles, () => show());
  model.on("usual", () => show());
  show();
  return tiles;
}

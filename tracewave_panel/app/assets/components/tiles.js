// "Usual" is the median of the calm windows of the quarter of an hour on the page: it is told by the page's own table.
export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const tiles = element("div", "tiles");
  const parts = model.tiles.map((tile) => {
    const box = element("div", "tile"), value = element("div", "v n"), spark = tw.drawing(100, 100, {stroke: "var(--live)", "stroke-width": 1.4, "stroke-linejoin": "round", "vector-effect": "non-scaling-stroke"}), usual = element("div", "u");
    spark.setAttribute("class", "spark");
    spark.setAttribute("preserveAspectRatio", "none");
    box.append(element("h3", "", tile.heading), value, spark, usual);
    tiles.append(box);
    return {tile, value, usual, path: spark.firstChild};
  });
  // The line breaks where a window has no figure.
  const line = (values) => {
    const finite = values.filter(Number.isFinite), low = Math.min(...finite), high = Math.max(...finite, low + 1e-9);
    let path = "", pen = "M";
    values.forEach((value, place) => {
      if (!Number.isFinite(value)) { pen = "M"; return; }
      path += `${pen}${(100 * place / Math.max(1, values.length - 1)).toFixed(2)} ${(95 - 90 * (value - low) / (high - low)).toFixed(2)}`;
      pen = "L";
    });
    return path;
  };
  const show = ({last}) => {
    const now = parts.map(({tile}) => last[`feature_${tile.feature}`]);
    parts.forEach(({tile, value, usual, path}, place) => {
      path.setAttribute("d", line(tw.recent(`feature_${tile.feature}`)));
      const shown = tile.share ? 100 * now[place] : now[place];
      const digits = Number.isFinite(shown) ? (tile.whole ? Math.round(shown).toLocaleString("en") : tw.figure(shown)) : "–";
      value.replaceChildren(digits, element("small", "", tile.unit));
      const median = tw.usual(`feature_${tile.feature}`);
      if (!Number.isFinite(median) || !Number.isFinite(shown)) return usual.replaceChildren("no figure for this window");
      const base = tile.share ? 100 * median : median;
      const text = tile.share ? `${base.toFixed(0)} %` : tile.whole ? Math.round(base).toLocaleString("en") : tw.figure(base);
      const difference = Math.round(shown - base), times = shown / base;
      const far = tile.share ? Math.abs(difference) >= 15 : times >= 1.6 || times <= 0.6;
      const comparison = tile.share ? `${difference > 0 ? "+" : "−"}${Math.abs(difference)} points` : `${times < 1 ? times.toFixed(2) : times.toFixed(1)} times usual`;
      usual.replaceChildren(`usual ${text}, `, far ? element("b", "", comparison) : "as usual");
    });
  };
  for (const {value, usual} of parts) { value.textContent = "–"; usual.textContent = "no window yet"; }
  tw.listen("row", tiles, (row) => { if (!row.hovered) show(row); });
  if (tw.row) show({last: tw.row});
  return tiles;
}

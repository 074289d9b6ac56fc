// "Usual" is the median of the quarter of an hour on the page: it is told by the page's own table.
export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const tiles = element("div", "tiles");
  const sparks = model.get_child("sparks");
  const parts = model.tiles.map((tile, place) => {
    const box = element("div", "tile"), value = element("div", "v n"), spark = element("div", "spark"), usual = element("div", "u");
    spark.append(sparks[place]);
    box.append(element("h3", "", tile.heading), value, spark, usual);
    tiles.append(box);
    return {tile, value, usual};
  });
  const show = ({last}) => {
    const now = parts.map(({tile}) => last[`feature_${tile.feature}`]);
    parts.forEach(({tile, value, usual}, place) => {
      const shown = tile.share ? 100 * now[place] : now[place];
      const digits = Number.isFinite(shown) ? (tile.whole ? Math.round(shown).toLocaleString("en") : tw.figure(shown)) : "–";
      value.replaceChildren(digits, element("small", "", tile.unit));
      const median = tw.median(`feature_${tile.feature}`);
      if (!Number.isFinite(median) || !Number.isFinite(shown)) return usual.replaceChildren("no figure for this window");
      const base = tile.share ? 100 * median : median;
      const text = tile.share ? `${base.toFixed(0)} %` : tile.whole ? Math.round(base).toLocaleString("en") : tw.figure(base);
      const difference = Math.round(shown - base), times = shown / base;
      const far = tile.share ? Math.abs(difference) >= 15 : times >= 1.6 || times <= 0.6;
      const comparison = tile.share ? `${difference > 0 ? "+" : "−"}${Math.abs(difference)} points` : `${times < 1 ? times.toFixed(2) : times.toFixed(1)} times usual`;
      usual.replaceChildren(`usual ${text}, `, far ? element("b", "", comparison) : "as usual");
    });
  };
  tw.listen("row", tiles, show);
  if (tw.row) show({last: tw.row});
  return tiles;
}

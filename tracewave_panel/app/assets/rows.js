/* The rows of the sheet: a name, a figure of Bokeh's, and its figures in words. They come with the page and belong
   to no session; the words follow the row that timeline.js announces, the reason for abstaining follows frames. */
(() => {
  const tw = window.tracewave;
  const sheet = document.getElementById("sheet");
  if (!sheet) return;
  const {element} = tw;
  const spec = JSON.parse(sheet.textContent);
  const OPEN_END = 8.64e15; // the last moment that a Date knows: the plots cut it at their edge
  tw.detectors = spec.detectors;

  const draw = (model) => {
    const row = element("div", `row ${model.kind}`);
    row.style.setProperty("--c", `var(${model.kind === "pulse" ? "--live" : model.colour})`);
    const gutter = element("div", "g");
    const note = element("p", model.kind === "pulse" ? "long" : "", model.subheading);
    gutter.append(element("b", "", model.heading), note);
    gutter.title = model.hint;
    const provisional = tw.provisional();
    if (model.kind === "agreement") gutter.append(provisional);
    const plot = element("div", "plot");
    plot.id = `plot-${model.root}`;
    const abstains = element("div", "abstains"), why = element("span", "el");
    const dot = element("i", "dot");
    abstains.append(why);
    plot.append(abstains, dot);
    if (model.kind === "pulse") gutter.append(element("span", "late", "late"));
    // The page's scripts lay cursor, brush and names over these.
    tw.plots = {...tw.plots, [model.kind === "lane" ? `lane_${model.place}` : model.kind]: plot};
    const readout = element("div", "o");
    row.append(gutter, plot, readout);

    const QUALITY = ["ok", "partial", "gap", "backfilled", "told again"];
    const chance = (score) => {
      if (score >= 1) return "p ≤ 1e−10";
      const p = 10 ** (-10 * score);
      return p >= 0.01 ? `p ${p.toFixed(2)}` : `p ${p.toExponential(0).replace("e-", "e−")}`;
    };
    const readers = {
      pulse(values, hovered) {
        const list = element("dl");
        const pairs = [["expected", tw.figure(values.expected)], ["band", Number.isFinite(values.lowest) ? `${Math.round(values.lowest)} to ${Math.round(values.highest)}` : "–"],
          ["ratio", values.expected > 0 && Number.isFinite(values.observed) ? `${(values.observed / values.expected).toFixed(1)}×` : "–"], ["late", String(values.late)], ["quality", QUALITY[values.quality]]];
        for (const [name, value] of pairs) list.append(element("dt", "", name), element("dd", "", value));
        return [element("p", "", `${hovered ? "at " : ""}${tw.clock(values.start)}`), element("div", "big", tw.figure(values.observed)), list];
      },
      lane(values) {
        const score = values[`score_${model.place}`], left = values[`left_${model.place}`];
        if (Number.isFinite(score)) {
          const parts = [element("b", "v", score.toFixed(2))];
          if (score >= 0.5) parts.push(element("span", "fired", "fired"));
          const span = values[`span_${model.place}`];
          return [...parts, element("p", "", chance(score)), ...(span > 0 ? [element("p", "span", `${span} window${span === 1 ? "" : "s"}`)] : [])];
        }
        const abstaining = element("b", "v q", "abstains");
        return left > 0 ? [abstaining, element("p", "", `in ${tw.length(left * (values.end - values.start) / 1000)}`)] : [abstaining];
      },
      agreement(values) {
        const all = Object.keys(values).filter((name) => name.startsWith("score_")).length;
        const cold = all - values.warm;
        const judged = Number.isFinite(values.fired);
        return [element("b", "v", !judged ? "not judged" : values.warm ? `${values.fired} of ${values.warm}` : "–"), element("p", "", cold > 0 ? `${cold} abstain${cold === 1 ? "s" : ""}` : "all judge"), element("p", "", judged && values.warm ? tw.rarity(values.rarity) || "ordinary" : "")];
      },
    };
    const HIGHEST = 1.16, LOWEST = -0.08; // of a lane, as views/lanes.py draws it
    let told = null;
    const place = () => {
      const {timeline} = tw;
      const figure = model.kind === "pulse" ? told?.shown.observed : model.kind === "lane" ? told?.shown[`score_${model.place}`] : NaN;
      const across = told?.hovered ? timeline.across(told.shown.start) : NaN;
      dot.hidden = !(across >= 0 && across <= 1 && Number.isFinite(figure));
      if (dot.hidden) return;
      dot.style.left = `calc(var(--axis-left) + (100% - var(--axis-left) - var(--axis-right)) * ${across.toFixed(5)})`;
      dot.style.top = `${(100 * (model.kind === "pulse" ? timeline.down(figure) : (HIGHEST - figure) / (HIGHEST - LOWEST))).toFixed(2)}%`;
    };
    const read = (heard) => {
      told = heard;
      readout.replaceChildren(...readers[model.kind](heard.shown, heard.hovered));
      provisional.hidden = !(heard.shown.provisional > 0);
      place();
    };
    const explain = () => {
      const reason = tw.told.reasons?.[model.detector] ?? "";
      abstains.hidden = reason === "";
      why.textContent = reason.startsWith("abstains") ? reason : `abstains: ${reason}`;
    };
    tw.listen("reasons", row, explain);
    explain();
    tw.listen("row", row, read);
    tw.listen("view", row, place);
    if (tw.row) read({shown: tw.row, hovered: false});
    else dot.hidden = true;
    return row;
  };

  document.querySelector(".rows").prepend(...spec.rows.map(draw));

  const fill = (episodes) => {
    const shown = tw.told.episodes ?? [];
    const data = {
      id: shown.map((each) => each.id),
      start: shown.map((each) => 1000 * each.opened),
      end: shown.map((each) => (each.closed === null ? OPEN_END : 1000 * each.closed)),
      severity: shown.map((each) => each.severity),
      title: shown.map((each) => each.title),
    };
    episodes.setv({data}, {sync: false});
  };
  // The figures are made in the dark theme. Drawn dark first, a light page would keep hairlines of it.
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const recolour = (value) => {
    if (value === null || typeof value !== "object") return;
    for (const tag of value.attributes?.tags ?? [])
      for (const [name, tokens] of tag.entries[0][1].entries) {
        const painted = Array.isArray(tokens) ? tokens.map(colour) : colour(tokens);
        const before = value.attributes[name];
        if (before?.type === "value") before.value = painted;
        else value.attributes[name] = painted;
      }
    Object.values(value).forEach(recolour);
  };
  const embed = async () => {
    recolour(spec.document);
    const ids = spec.rows.map((row) => row.root);
    const roots = Object.fromEntries(ids.map((id) => [id, `plot-${id}`]));
    const [view] = await window.Bokeh.embed.embed_items({sheet: spec.document}, [{docid: "sheet", roots, root_ids: ids}]);
    const episodes = (view.model ?? view.roots[0].model).document.get_model_by_name("episodes");
    window.addEventListener("tracewave:episodes", () => fill(episodes));
    fill(episodes);
  };
  window.addEventListener("load", embed, {once: true});
})();

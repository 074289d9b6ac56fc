// Figures come from the row that timeline.js announces; only the reason for abstaining comes from the server.
export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const row = element("div", `row ${model.kind}`);
  row.style.setProperty("--c", `var(${model.kind === "pulse" ? "--live" : model.colour})`);
  const gutter = element("div", "g");
  const note = element("p", model.kind === "pulse" ? "long" : "", model.subheading);
  gutter.append(element("b", "", model.heading), note);
  gutter.title = model.hint;
  const provisional = tw.provisional();
  if (model.kind === "agreement") gutter.append(provisional);
  const plot = element("div", "plot");
  plot.append(model.get_child("plot"));
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
      return left > 0 ? [abstaining, element("p", "", `in ${tw.length(left * model.seconds)}`)] : [abstaining];
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
    abstains.hidden = model.reason === "";
    why.textContent = model.reason.startsWith("abstains") ? model.reason : `abstains: ${model.reason}`;
  };
  model.on("reason", explain);
  explain();
  tw.listen("row", row, read);
  tw.listen("view", row, place);
  if (tw.row) read({shown: tw.row, hovered: false});
  else dot.hidden = true;
  return row;
}

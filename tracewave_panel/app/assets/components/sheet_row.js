// Figures come from the row that timeline.js announces; only the reason for abstaining comes from the server.
export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const row = element("div", `row ${model.kind}`);
  row.style.setProperty("--c", `var(${model.colour})`);
  const gutter = element("div", "g");
  const note = element("p", model.kind === "pulse" ? "long" : "", model.subheading);
  gutter.append(element("b", "", model.heading), note);
  gutter.title = model.hint;
  const provisional = tw.provisional();
  if (model.kind === "agreement") gutter.append(provisional);
  const plot = element("div", "plot");
  plot.append(model.get_child("plot"));
  const abstains = element("div", "abstains"), why = element("span", "el");
  abstains.append(why);
  plot.append(abstains);
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
  const read = ({shown, hovered}) => {
    readout.replaceChildren(...readers[model.kind](shown, hovered));
    provisional.hidden = !(shown.provisional > 0);
  };
  const explain = () => {
    abstains.hidden = model.reason === "";
    why.textContent = `abstains: ${model.reason}`;
  };
  model.on("reason", explain);
  explain();
  tw.listen("row", row, read);
  if (tw.row) read({shown: tw.row, hovered: false});
  return row;
}

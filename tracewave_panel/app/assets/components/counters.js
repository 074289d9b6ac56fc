// Totals that say what was lost or late, in one line.
export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const line = element("div", "line"), complete = element("b", "", "–"), first = element("span", "", "Windows complete to ");
  first.append(complete);
  const show = () => {
    const totals = (tw.told.totals ?? JSON.parse(model.totals)).map(([name, value]) => {
      const total = element("span", "", `${name} `);
      total.append(element("b", "", value));
      return total;
    });
    line.replaceChildren(first, ...totals);
  };
  tw.listen("totals", line, show);
  tw.listen("row", line, ({last}) => { complete.textContent = tw.clock(last.end); });
  if (tw.row) complete.textContent = tw.clock(tw.row.end);
  show();
  return line;
}

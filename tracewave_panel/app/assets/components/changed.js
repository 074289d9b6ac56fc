// Who made the difference in the brushed range. Values are the feed's: they enter as textContent.
const CROSS = {d: "M2.5 2.5l7 7M9.5 2.5l-7 7", stroke: "currentColor", "stroke-width": 1.5};
const LEAST = 1; // per cent of the bar's room, so that a small excess is seen at all

export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const box = element("div", "changed"), head = element("div", "ph"), range = element("span", "q n el range"), accounted = element("span", "m n nw");
  const close = element("button", "btn ghost sq");
  close.type = "button";
  close.title = "Clear the brush";
  close.setAttribute("aria-label", "Clear the brush");
  close.append(tw.drawing(12, 12, CROSS));
  close.addEventListener("click", () => {
    tw.server?.tell({brush: []});
    tw.announce("brush", null);
  });
  head.append(element("h2", "", "What changed"), range, element("span", "sp"), accounted, close);

  const empty = element("div", "empty");
  empty.append(element("b", "", "Drag over the pulse"), "Ranks who made the difference in that range. Or pick an anomaly.");
  const hint = element("p");
  hint.append(element("span", "key", "B"), " starts a brush from the cursor");
  empty.append(hint);

  const said = element("p", "said"), rests = element("p", "rests q n");
  const table = element("table"), caption = element("caption", "sr"), body = element("tbody"), top = element("tr");
  for (const [name, kind, columns] of [["", "d", 1], ["value", "", 1], ["usual", "r usual", 1], ["seen", "r", 1], ["excess a second", "r", 2]]) {
    const cell = name ? element("th", kind, name) : element("th", kind);
    if (!name) cell.append(element("span", "sr", "dimension"));
    cell.scope = columns > 1 ? "colgroup" : "col";
    if (columns > 1) cell.colSpan = columns;
    top.append(cell);
  }
  const names = element("thead");
  names.append(top);
  table.append(caption, names, body);
  const scroll = element("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "What changed");
  scroll.append(empty, said, table, rests);
  const spoken = element("div", "sr");
  spoken.setAttribute("role", "status");
  box.append(head, scroll, spoken);

  // One scale on both sides of zero: a bar that is twice as long is twice as much.
  const scaled = (rows) => {
    const up = Math.max(0, ...rows.map((row) => row.excess)), down = Math.max(0, ...rows.map((row) => -row.excess));
    const zero = down === 0 ? 0 : up === 0 ? 100 : Math.min(92, Math.max(8, (100 * down) / (up + down)));
    return {zero, unit: Math.min(up > 0 ? (100 - zero) / up : Infinity, down > 0 ? zero / down : Infinity)};
  };
  const line = (row, {zero, unit}) => {
    const made = element("tr", row.named ? "named" : "minor"), value = element("th", "value"), words = element("bdi", "", row.value);
    value.scope = "row";
    value.title = row.value;
    value.append(words);
    const cell = element("td", "bars"), bar = element("div", "bar"), fill = element("i");
    const wide = Math.max(LEAST, Math.abs(row.excess) * (Number.isFinite(unit) ? unit : 0));
    bar.style.setProperty("--zero", `${zero}%`);
    fill.style.width = `${wide}%`;
    if (row.excess >= 0) fill.style.left = `${Math.min(zero, 100 - wide)}%`;
    else fill.style.right = `${100 - zero}%`;
    bar.append(fill);
    bar.setAttribute("aria-hidden", "true");
    cell.append(bar);
    const excess = element("td", "r n excess", row.signed);
    if (!row.named) excess.title = "not named: it may be chance, or follow from the others";
    made.append(element("td", "d q el", row.dimension), value, element("td", "r n m usual", row.usual), element("td", "r n", row.seen), cell, excess);
    return made;
  };
  const show = () => {
    const change = model.ranking ? JSON.parse(model.ranking) : null;
    empty.hidden = change !== null;
    close.hidden = change === null;
    table.hidden = !change?.rows.length;
    range.textContent = change ? `${change.range}, brushed` : "";
    range.title = change ? `${change.range} UTC` : "";
    accounted.replaceChildren(...(change ? [element("b", "", change.accounted[0]), ` ${change.accounted[1]}`] : []));
    said.textContent = change?.conclusion ?? "";
    said.hidden = !change?.conclusion;
    said.classList.toggle("nothing", change?.nothing === true);
    rests.textContent = change?.rests ?? "";
    rests.hidden = !change?.rests;
    caption.textContent = change ? `Dimension values by their part in the change, ${change.range}` : "";
    const scale = scaled(change?.rows ?? []);
    body.replaceChildren(...(change?.rows ?? []).map((row) => line(row, scale)));
    const leader = change?.rows.find((row) => row.named);
    spoken.textContent = change ? `${change.range}: ${change.conclusion || `${leader.dimension} ${leader.value}, ${leader.signed} a second`}` : "";
  };
  model.on("ranking", show);
  show();
  return box;
}

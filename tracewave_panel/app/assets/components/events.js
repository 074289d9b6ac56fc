// Titles and names are the feed's: they enter as textContent, and only http(s) addresses become links.
// The lines are made once and filled in place, so nothing moves while events stream in.
const LINES = 12;

export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const columns = JSON.parse(model.columns), link = columns.at(-1);
  const box = element("div", "events"), head = element("div", "ph"), order = element("span", "q el order"), count = element("span", "m n nw");
  head.append(element("h2", "", model.heading), order, element("span", "sp"), count);

  const table = element("table"), body = element("tbody"), top = element("tr"), names = element("thead");
  columns.forEach((name, place) => {
    const cell = element("th", place === 4 ? "r" : "");
    cell.scope = "col";
    cell.append(place === 5 ? element("span", "sr", "link") : name);
    top.append(cell);
  });
  names.append(top);
  table.append(names, body);
  table.setAttribute("aria-label", model.heading);
  const none = element("div", "none"), scroll = element("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", model.heading);
  scroll.append(table, none);
  box.append(head, scroll);

  const lines = Array.from({length: LINES}, () => {
    const line = element("tr");
    const cells = ["q n", "m", "", "", "r n"].map((className) => {
      const cell = element("td", className), words = element("bdi");
      cell.append(words);
      line.append(cell);
      return {cell, words};
    });
    const address = element("td", "r");
    line.append(address);
    body.append(line);
    return {line, cells, address, told: ""};
  });
  const fill = (entry, event) => {
    entry.line.hidden = !event;
    const told = event ? event.join("\n") : "";
    if (!event || told === entry.told) return;
    entry.told = told;
    entry.cells.forEach(({cell, words}, place) => {
      words.textContent = event[place];
      cell.title = place >= 1 && place <= 3 ? event[place] : "";
    });
    const anchor = event[5] ? tw.anchor(link, event[5]) : "";
    if (anchor) anchor.setAttribute("aria-label", `${link[0].toUpperCase()}${link.slice(1)}: ${event[3] || "untitled"}`);
    entry.address.replaceChildren(anchor);
  };

  // Whoever is about to follow a link must not have another one put under the pointer.
  let pointed = false, focused = false, waiting = false;
  const say = () => {
    const brushed = model.brushed ? JSON.parse(model.brushed) : null;
    const held = waiting && !brushed;
    order.textContent = brushed ? "of the brushed range, newest first" : held ? "held while you point at them" : "newest first, as they come";
    order.classList.toggle("held", held);
    count.textContent = brushed?.count ?? "";
    count.title = brushed?.gone ? "The others are no longer in memory" : "Events of the range";
    none.textContent = brushed ? "No event of this range is held any more." : "No event has come yet.";
  };
  const show = () => {
    waiting = (pointed || focused) && !model.brushed;
    say();
    if (waiting) return;
    const events = model.brushed ? JSON.parse(model.brushed).events : tw.told.events ?? JSON.parse(model.events);
    none.hidden = events.length > 0;
    table.hidden = events.length === 0;
    lines.forEach((entry, place) => fill(entry, events[place]));
  };
  const release = () => { if (!pointed && !focused) show(); };
  body.addEventListener("pointerenter", (event) => { pointed = event.pointerType === "mouse"; });
  body.addEventListener("pointerleave", () => { pointed = false; release(); });
  body.addEventListener("focusin", () => { focused = true; });
  body.addEventListener("focusout", () => { focused = false; release(); });
  model.on("brushed", show);
  tw.listen("events", box, () => { if (!model.brushed) show(); });
  show();
  return box;
}

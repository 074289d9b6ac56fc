// Titles and names are the feed's: they enter as textContent, and only http(s) addresses become links.
export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const box = element("div", "events"), head = element("div", "ph"), body = element("tbody"), table = element("table");
  head.append(element("h2", "", model.heading), element("span", "q", "newest first, as they came"));
  const row = element("tr");
  for (const name of JSON.parse(model.columns)) row.append(element("th", "", name));
  const top = element("thead");
  top.append(row);
  table.append(top, body);
  const none = element("div", "none", "No event has come yet.");
  box.append(head, table, none);
  const cell = (text, className = "") => {
    const made = element("td", className), isolated = element("bdi", "", text);
    made.title = text;
    made.append(isolated);
    return made;
  };
  const show = () => {
    const events = JSON.parse(model.events);
    none.hidden = events.length > 0;
    body.replaceChildren(...events.map(([time, place, actor, title, measure, link]) => {
      const line = element("tr"), address = element("td");
      if (link) {
        const anchor = tw.anchor("open", link);
        anchor.setAttribute("aria-label", `Open ${title}`);
        address.append(anchor);
      }
      line.append(cell(time, "n"), cell(place, "m"), cell(actor), cell(title), cell(measure), address);
      return line;
    }));
  };
  model.on("events", show);
  show();
  return box;
}

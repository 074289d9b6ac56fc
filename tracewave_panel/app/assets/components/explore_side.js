// Beside the editor: what there is to ask, and questions that are ready. Names and comments may come from a feed.
const aboutRows = (rows) => (rows >= 1e6 ? `${(rows / 1e6).toFixed(rows < 1e7 ? 1 : 0)} M` : rows >= 1e4 ? `${Math.round(rows / 1e3)} k` : rows.toLocaleString("en"));

// A panel whose last lines tell about what is pointed at or has the focus.
const sidePanel = (tw, className, title) => {
  const {element} = tw;
  const panel = element("section", `panel ${className}`), head = element("div", "ph"), side = element("span", "q n"), room = element("div", "side-room"), told = element("p", "told");
  head.append(element("h2", "", title), element("span", "sp"), side);
  panel.append(head, room, told);
  let resting = "";
  const tell = (words) => { told.textContent = words || resting; };
  const about = (node, words) => {
    for (const name of ["pointerenter", "focus"]) node.addEventListener(name, () => tell(words()));
    for (const name of ["pointerleave", "blur"]) node.addEventListener(name, () => tell(""));
  };
  return {panel, side, room, about, rest: (words) => { resting = words; tell(""); }};
};

const TRIES = 15, BETWEEN = 2000; // milliseconds
const schemaPanel = (tw, act) => {
  const {element} = tw;
  const made = sidePanel(tw, "schema", "Schema"), list = element("ul", "tree"), waiting = element("p", "none", "Reading the schema.");
  made.room.append(waiting);
  made.rest("Point at a name to read what it holds; press it to put it into the query.");
  const nameButton = (className, words, label, pressed) => {
    const button = element("button", className);
    button.type = "button";
    button.append(element("bdi", "el", words));
    button.title = words;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", pressed);
    return button;
  };
  const group = (words) => element("li", "group", words);
  const relationNode = (relation) => {
    const item = element("li"), row = element("div", "rel"), fold = element("button", "fold"), columns = element("ul", "columns");
    fold.type = "button";
    fold.append(tw.drawing(10, 12, {d: "M4.5 2.5L8 6 4.5 9.5", stroke: "currentColor", "stroke-width": 1.4, "stroke-linecap": "round", "stroke-linejoin": "round"}));
    fold.setAttribute("aria-label", `Columns of ${relation.name}`);
    const name = nameButton("t", relation.name, `Insert ${relation.name}. ${relation.comment}`, () => act.insert(relation.name));
    const rows = element("span", "q n", relation.view ? "" : aboutRows(relation.rows));
    if (!relation.view) rows.title = `about ${relation.rows.toLocaleString("en")} rows`;
    row.append(fold, name, rows);
    made.about(row, () => relation.comment);
    made.about(name, () => relation.comment);
    const show = (shown) => {
      fold.setAttribute("aria-expanded", String(shown));
      columns.hidden = !shown;
      if (shown && !columns.firstChild)
        columns.append(...relation.columns.map(([column, type, comment]) => {
          const line = element("li"), button = nameButton("c", column, `Insert ${column}, ${type}. ${comment}`, () => act.insert(column));
          button.append(element("i", "", type));
          made.about(button, () => `${column}, ${type}${comment ? `: ${comment}` : ""}`);
          line.append(button);
          return line;
        }));
    };
    fold.addEventListener("click", () => show(columns.hidden));
    show(false);
    item.append(row, columns);
    return item;
  };
  let tries = 0, wrong = "";
  const show = ({relations, since, error}) => {
    if (error) {
      // history opens some seconds after the page where the feed has just begun
      if (tries++ < TRIES) setTimeout(act.again, BETWEEN);
      if (error === wrong && made.room.contains(waiting)) return;
      wrong = error;
      const again = element("button", "btn", "Try again");
      again.type = "button";
      again.addEventListener("click", () => { wrong = ""; waiting.textContent = "Reading the schema."; made.room.replaceChildren(waiting); act.again(); });
      waiting.textContent = `The schema cannot be read: ${error}.`;
      made.room.replaceChildren(waiting, again);
      return;
    }
    const views = relations.filter((each) => each.view), tables = relations.filter((each) => !each.view);
    made.side.textContent = known(since) ? `since ${tw.day(1000 * since)}` : "no window yet";
    list.replaceChildren(
      ...(views.length ? [group("Views")] : []), ...views.map((each) => relationNode(each)),
      ...(tables.length ? [group("Tables"), ...tables.map((each) => relationNode(each))] : []),
    );
    made.room.replaceChildren(list);
  };
  return {panel: made.panel, show};
};

const readyPanel = (tw, queries, act) => {
  const {element} = tw;
  const made = sidePanel(tw, "ready", "Ready queries"), list = element("ul", "questions");
  made.room.append(list);
  made.rest("Each fills the editor and teaches something; nothing runs until you press Run.");
  const entry = (query) => {
    const item = element("li"), button = element("button", "question");
    button.type = "button";
    button.append(element("span", "title", query.title), element("span", "teaches", query.teaches));
    button.addEventListener("click", () => act.pick(query));
    made.about(button, () => query.teaches);
    item.append(button);
    return {query, button, item};
  };
  const entries = queries.map(entry);
  list.append(...entries.map(({item}) => item));
  // The question of the anomaly that was picked stands first, so that one can come back to it.
  let first = null;
  const offer = (query) => {
    first?.item.remove();
    first = entry(query);
    list.prepend(first.item);
  };
  const current = (sql) => {
    let found = null;
    for (const {query, button} of first ? [first, ...entries] : entries) {
      const is = query.sql === sql;
      if (is) { button.setAttribute("aria-current", "true"); found = query; }
      else button.removeAttribute("aria-current");
    }
    made.rest(found ? found.teaches : "Each fills the editor and teaches something; nothing runs until you press Run.");
    return found;
  };
  return {panel: made.panel, current, offer};
};

// Notices on the Health page: how each route stands, and the mutes that hold. Names and errors are hostile text.
const ROUTE_HEADS = [
  ["route", ""], ["sent", "Notices that arrived"], ["waiting", "Notices still to be sent"], ["failed", "Tries that failed"],
  ["held", "Kept back by a mute, the rate limit or the time of day"], ["last sent", "When one last arrived"],
];
const TAKE_BACK_PATIENCE = 8000; // milliseconds

const noticesPanels = (tw, model, titled) => {
  const {element} = tw;
  const routes = titled("routes", "Notices"), table = element("table"), head = element("thead"), heads = element("tr"), body = element("tbody"), none = element("p", "none", "No notices are sent: no route is set up. How to: ");
  none.append(element("code", "", "docs/notices.md"));
  ROUTE_HEADS.forEach(([name, meaning], place) => {
    const cell = element("th", place ? "r" : "", name);
    cell.scope = "col";
    cell.title = meaning;
    heads.append(cell);
  });
  head.append(heads);
  table.append(head, body);
  routes.panel.append(table, none);
  const mutes = titled("mutes", "Silenced notices"), list = element("ul"), free = element("p", "none", "Every notice is sent: nothing is snoozed or muted."), line = element("p", "line");
  line.setAttribute("role", "status");
  mutes.panel.append(list, free, line);
  let asked = 0;

  const showRoutes = (told) => {
    table.hidden = !told.length;
    none.hidden = told.length > 0;
    routes.side.textContent = told.length ? "since the start" : "";
    body.replaceChildren(...told.flatMap(({name, counts, last, trouble}) => {
      const row = element("tr"), first = element("th", "what");
      first.scope = "row";
      first.append(element("bdi", "", name));
      row.append(first, ...[...counts, last].map((figure) => element("td", `r n${figure === "0" || figure === "never" ? " q" : ""}`, figure)));
      if (!trouble) return [row];
      const below = element("tr"), why = element("td"), words = element("p", "trouble");
      row.className = "troubled";
      why.colSpan = ROUTE_HEADS.length;
      words.append(tw.severityMark("warning", 10), element("bdi", "", trouble));
      why.append(words);
      below.append(why);
      return [row, below];
    }));
  };

  // Kept by id: a button that waits or has the focus stays while others come and go.
  const held = new Map();
  const newRow = (id) => {
    const row = {node: element("li"), words: element("bdi", "el"), how: element("p"), button: element("button", "btn", "Take back"), waits: 0};
    const text = element("div");
    text.append(row.words, row.how);
    row.button.type = "button";
    row.node.append(bell(tw, true), text, row.button);
    row.button.addEventListener("click", () => {
      if (row.waits) return;
      const number = (row.waits = ++asked);
      row.button.setAttribute("aria-disabled", "true");
      line.textContent = "";
      model.send_msg({undo: id, number});
      setTimeout(() => settle(number, "The server has not answered; it may still be silenced."), TAKE_BACK_PATIENCE);
    });
    return row;
  };
  const settle = (number, error) => {
    const row = [...held.values()].find((each) => each.waits === number);
    if (!row) return;
    row.waits = 0;
    row.button.removeAttribute("aria-disabled");
    line.textContent = error;
  };
  const showMutes = (told) => {
    const ids = new Set(told.map(({id}) => id)), focus = list.getRootNode().activeElement;
    for (const [id, row] of held)
      if (!ids.has(id)) {
        // whoever took it back goes on with the next one
        if (row.button === focus) (row.node.nextElementSibling ?? row.node.previousElementSibling)?.querySelector("button").focus();
        row.node.remove();
        held.delete(id);
      }
    told.forEach((mute, place) => {
      const row = held.get(mute.id) ?? newRow(mute.id), how = `${mute.episode ? "snoozed" : "muted"} ${holdsWords(tw, mute)}`;
      held.set(mute.id, row);
      row.words.textContent = row.words.title = mute.words;
      row.how.replaceChildren(`${how}, since ${momentWords(tw, mute.at)}`, ...(mute.by ? [" by ", element("bdi", "", mute.by)] : []));
      row.button.setAttribute("aria-label", `Take back: ${mute.words}, ${how}`);
      if (list.children[place] !== row.node) list.insertBefore(row.node, list.children[place] ?? null);
    });
    free.hidden = told.length > 0;
    mutes.side.textContent = told.length || "";
  };
  const show = () => {
    const told = read(model.notices);
    for (const {panel} of [routes, mutes]) panel.hidden = !told;
    if (!told) return;
    showRoutes(told.routes);
    showMutes(told.mutes);
    mutes.panel.hidden = !told.routes.length && !told.mutes.length;
  };
  model.on("notices", show);
  model.on("answer", () => {
    const {number, error} = JSON.parse(model.answer);
    settle(number, error && `Not taken back: ${error}`);
  });
  return {panels: [routes.panel, mutes.panel], show};
};

// The chart beside the table: what is drawn of which columns, chosen by their kinds until somebody chooses.
const KINDS = [["line", "Line"], ["bar", "Bar"], ["heat", "Heat map"]], COUNTED = "rows";
const DRAWN = {line: drawLines, bar: drawBars, heat: drawHeat};
const distinct = (values, most = 10_000) => { const seen = new Set(); for (const value of values) if (value !== null && seen.add(value).size > most) break; return seen.size; };

// What is worth drawing: a time across, the column that the rows are sorted by up, names with few values as series.
const defaultsFor = ({columns, data, shown}) => {
  const of = (...kinds) => columns.map((_, place) => place).filter((place) => kinds.includes(columns[place].kind));
  const times = of("time"), numbers = of("number"), texts = of("text", "bool");
  const rises = (place) => data[place].every((value, at, all) => !at || (value !== null && value >= all[at - 1]));
  const falls = (place) => shown > 2 && data[place].every((value, at, all) => !at || all[at - 1] === null || (value !== null && Math.abs(value) <= Math.abs(all[at - 1])) || value === null) && distinct(data[place]) > 1;
  const counted = numbers.length > 1 && numbers[0] === 0 && columns[0].type === "int" && rises(0);
  let x = times.find((place) => distinct(data[place]) > 1) ?? (counted ? 0 : undefined);
  const figures = numbers.filter((place) => place !== x), falling = figures.filter(falls), y = falling.find((place) => data[place].some((value) => value < 0)) ?? falling[0] ?? figures[0] ?? null; // a change before a size
  if (y === null || x === undefined || (times.includes(x) && falls(y) && texts.some((place) => distinct(data[place]) === shown)))
    x = texts.find((place) => distinct(data[place]) > 1 && (y !== null || distinct(data[place]) <= 40)) ?? x ?? texts[0] ?? numbers[0] ?? 0;
  const repeats = distinct(data[x]) < shown;
  const by = repeats && y !== null ? texts.find((place) => place !== x && distinct(data[place]) > 1 && distinct(data[place]) <= 200) ?? null : null;
  const many = by === null ? 1 : distinct(data[by]), across = distinct(data[x]);
  let kind = "bar";
  if (columns[x]?.kind === "time") kind = many > 6 && across > 1 ? "heat" : across > 3 ? "line" : "bar";
  else if (columns[x]?.kind === "number" && by === null && across > 2) kind = "line";
  return {kind, x, y, by};
};

// `act.picked()` is the anomaly that was picked: from and until in milliseconds, and the values that it is put down to.
const answerChart = (tw, act) => {
  const {element} = tw;
  const panel = element("section", "panel chart"), head = element("div", "ph"), title = element("h2", "el", "Chart"), kinds = element("div", "seg"), choices = element("div", "choices"), room = element("div", "chart-room"), foot = element("p", "chart-foot");
  kinds.setAttribute("role", "group");
  kinds.setAttribute("aria-label", "Kind of chart");
  const buttons = KINDS.map(([kind, words]) => {
    const button = element("button", "", words);
    button.type = "button";
    button.addEventListener("click", () => choose({kind}));
    kinds.append(button);
    return [kind, button];
  });
  const chooser = (words, name) => {
    const label = element("label"), select = element("select");
    label.append(element("span", "", words), select);
    select.addEventListener("change", () => choose({[name]: select.value === "" ? null : select.value === COUNTED ? COUNTED : Number(select.value)}));
    choices.append(label);
    return {label, select};
  };
  const across = chooser("across", "x"), up = chooser("up", "y"), series = chooser("series", "by"), legend = element("div", "lg");
  head.append(title, element("span", "sp"), kinds);
  panel.append(head, choices, legend, room, foot);
  let held = null, choice = null, drawn = null, sayWord = () => String;

  const valueWords = (place, value) => (value === null ? "NULL" : sayWord(place)(value));
  const reasonNot = () => {
    const {columns} = held, kind = columns[choice.x]?.kind, name = columns[choice.x]?.name;
    if (!held.shown) return "The answer has no rows: there is nothing to draw.";
    if (choice.y === null) return `No column holds figures. Choose “number of rows” to count them instead.`;
    if (choice.kind === "line" && (kind === "text" || kind === "bool")) return `A line needs a time or a figure across, and ${name} is text. Bars can show it.`;
    if (choice.kind === "heat" && choice.by === null) return "A heat map needs a second column of names: choose it as the series.";
    if (choice.kind === "heat" && choice.by === choice.x) return "A heat map needs two different columns: one across, one as the series.";
    return "";
  };
  const rowsOf = () => {
    const {data, shown} = held, rows = [];
    let left = 0;
    for (let at = 0; at < shown; at++) {
      const y = choice.y === COUNTED ? 1 : data[choice.y][at], x = data[choice.x][at];
      const text = held.columns[choice.x].kind === "text" || held.columns[choice.x].kind === "bool";
      if (!known(y) || (!text && !known(x))) { left++; continue; }
      rows.push({x: text ? valueWords(choice.x, x) || "empty" : x, y, by: choice.by === null ? "" : valueWords(choice.by, data[choice.by][at])});
    }
    return {rows, left};
  };
  const read = (at) => {
    const {legend: entries} = drawn, one = entries.length === 0;
    [...legend.children].forEach((node, place) => { if (node.lastChild.localName === "b") node.lastChild.textContent = at && known(at.values[place]) ? shortFigure(at.values[place]) : ""; });
    foot.textContent = at ? `${at.words}${one ? `: ${known(at.values[0]) ? shortFigure(at.values[0]) : at.none ?? "no figure"}` : ""}` : drawn.said;
  };
  const draw = () => {
    if (!held || !choice) return;
    choices.hidden = kinds.hidden = !held.shown;
    const width = room.clientWidth, height = room.clientHeight, {columns} = held;
    if (width < 80 || height < 60) return;
    const name = (place) => (place === COUNTED ? "number of rows" : columns[place]?.name ?? ""), reason = reasonNot();
    title.textContent = reason && !held.shown ? "Chart" : `${choice.y === null ? "Chart" : name(choice.y)} by ${name(choice.x)}${choice.by === null ? "" : ` and ${name(choice.by)}`}`;
    title.title = title.textContent;
    legend.replaceChildren();
    const {rows, left} = reason ? {rows: [], left: 0} : rowsOf();
    if (reason || !rows.length) {
      drawn = null;
      foot.textContent = "";
      room.replaceChildren(element("p", "none", reason || `No row has both a value of ${name(choice.x)} and a figure in ${name(choice.y)}.`));
      return;
    }
    const xKind = columns[choice.x].kind, size = xKind === "time" ? Math.min(...[...new Set(rows.map(({x}) => x))].sort((a, b) => a - b).map((x, at, all) => (at ? x - all[at - 1] : Infinity))) : 0;
    const spec = {
      xKind, by: choice.by, counted: choice.y === COUNTED, whole: choice.y === COUNTED || columns[choice.y].type === "int", picked: act.picked(), words: `${KINDS.find(([kind]) => kind === choice.kind)[1]}: ${title.textContent}, ${rows.length} rows`,
      sayX: (x) => (xKind === "text" || xKind === "bool" ? x : valueWords(choice.x, x)) + (xKind === "time" ? " UTC" : ""),
      shortX: (x) => (xKind === "time" ? tickWords(x, size) : xKind === "number" ? shortFigure(x) : x),
    };
    drawn = DRAWN[choice.kind](rows, spec, {width, height});
    const notes = [...(held.shown < held.rows ? [`of the first ${held.shown.toLocaleString("en")} rows`] : []), ...drawn.notes, ...(left ? [`${left.toLocaleString("en")} rows without a figure are left out`] : [])];
    drawn.said = notes.length ? `Drawn: ${notes.join("; ")}.` : "";
    legend.append(...drawn.legend.map(({name: words, hue, dash}) => {
      const item = element("span"), swatch = element("i", dash && choice.kind === "line" ? "dashed" : ""), label = element("bdi", "el", words);
      swatch.style.setProperty("--c", hue);
      label.title = words;
      item.append(swatch, label, element("b", "n"));
      return item;
    }));
    room.replaceChildren(drawn.svg);
    read(null);
  };
  const fill = () => {
    const options = (select, list, value) => {
      select.replaceChildren(...list.map(([key, words]) => { const option = element("option", "", words); option.value = String(key); return option; }));
      select.value = value === null ? "" : String(value);
    };
    const all = held.columns.map(({name}, place) => [place, name]), figures = all.filter(([place]) => held.columns[place].kind === "number");
    options(across.select, all, choice.x);
    options(up.select, [...figures, [COUNTED, "number of rows"], ...(choice.y === null ? [["", "choose"]] : [])], choice.y);
    options(series.select, [["", "none"], ...all.filter(([place]) => place !== choice.x)], choice.by);
    for (const [kind, button] of buttons) button.setAttribute("aria-pressed", String(kind === choice.kind));
  };
  const choose = (part) => {
    choice = {...choice, ...part};
    if (choice.by === choice.x) choice.by = null;
    fill();
    draw();
    act.chosen(asText());
  };
  /* In an address: kind, then the names of the columns. */
  const asText = () => {
    const name = (place) => (place === null ? "" : place === COUNTED ? "*" : held.columns[place].name);
    return [choice.kind, name(choice.x), name(choice.y), name(choice.by)].map(encodeURIComponent).join("~");
  };
  const fromText = (text) => {
    let parts;
    try { parts = text.split("~").map(decodeURIComponent); } catch { return {}; }
    const [kind, ...names] = parts, place = (name) => held.columns.findIndex((column) => column.name === name);
    const [x, y, by] = names.map(place);
    if (!(kind in DRAWN) || !(x >= 0) || !(y >= 0 || names[1] === "*")) return {};
    return {kind, x, y: names[1] === "*" ? COUNTED : y, by: by >= 0 ? by : null};
  };
  const show = (answer, words, asked) => {
    held = answer;
    sayWord = words;
    choice = held.columns.length ? {...defaultsFor(held), ...(asked ? fromText(asked) : {})} : null;
    if (!choice) return;
    if (choice.y === null && held.shown) choice.y = COUNTED;
    fill();
    draw();
  };
  room.addEventListener("pointermove", (event) => {
    if (!drawn) return;
    const box = room.getBoundingClientRect();
    read(drawn.at(event.clientX - box.left, event.clientY - box.top));
  });
  room.addEventListener("pointerleave", () => { if (drawn) { drawn.at(null); read(null); } });
  let frame = 0;
  new ResizeObserver(() => { cancelAnimationFrame(frame); frame = requestAnimationFrame(draw); }).observe(room);
  return {panel, show};
};

// The answer as a table: only the rows in sight are nodes, however many there are. Cells are text, never markup.
const ROW = 22, BAR_ROOM = 84, WIDEST = 340, MEASURED = 300; // pixels; rows looked at for the widths

// How a column's values are said: times to the finest part that any has, numbers with the same decimals.
const columnWords = ({kind}, values) => {
  if (kind === "time") {
    const moments = values.filter(known), every = (step) => moments.every((value) => value % step === 0);
    const long = every(86_400_000) && moments.length > 1 ? 10 : every(60_000) ? 16 : every(1000) ? 19 : 23;
    return (value) => (known(value) && Math.abs(value) <= 8.64e15 ? new Date(value).toISOString().slice(0, long).replace("T", " ") : String(value));
  }
  if (kind === "number") {
    const some = values.filter(known);
    const decimals = Math.min(4, some.slice(0, 2000).reduce((most, value) => {
      const text = String(Math.abs(value)), dot = text.indexOf(".");
      return text.includes("e-") ? 4 : dot < 0 ? most : Math.max(most, text.length - dot - 1);
    }, 0));
    const format = new Intl.NumberFormat("en", {minimumFractionDigits: decimals, maximumFractionDigits: decimals});
    return (value) => {
      if (!known(value)) return String(value);
      if ((value !== 0 && Math.abs(value) < 0.5 * 10 ** -decimals) || Math.abs(value) >= 1e15) return value.toPrecision(3);
      return format.format(value).replace("-", "−");
    };
  }
  return (value) => String(value).replace(/[\r\n]+/g, " ⏎ ").replaceAll("\t", " ");
};
const isNumber = (column) => column.kind === "number";
const asNumber = (value) => (typeof value === "string" ? Number(value) : value);

const answerTable = (tw) => {
  const {element} = tw;
  const room = element("div", "table-room"), table = element("table"), columnsNode = element("colgroup"), head = element("thead"), body = element("tbody"), heard = element("div", "sr");
  room.tabIndex = 0;
  room.setAttribute("role", "region");
  room.setAttribute("aria-label", "Rows of the answer");
  heard.setAttribute("role", "status");
  table.append(columnsNode, head, body);
  room.append(table);
  let held = null, order = [], sorted = null, words = [], span = null, drawn = "", ranged = () => {};
  // Text is measured by being text: figures of the same width, and letters of any script.
  const ruler = element("div", "ruler");
  ruler.setAttribute("aria-hidden", "true");
  room.append(ruler);
  const widthsOf = (lists) => {
    const spans = lists.map((texts) => texts.map((text) => { const span = element("span", "n", text); ruler.append(span); return span; }));
    const widths = spans.map((some) => Math.max(0, ...some.map((span) => span.offsetWidth)));
    ruler.replaceChildren();
    return widths;
  };

  const arrange = () => {
    order = Array.from({length: held.shown}, (_, at) => at);
    if (!sorted) return;
    const values = held.data[sorted.column], sign = sorted.down ? -1 : 1, numeric = held.columns[sorted.column].kind !== "text";
    const last = (value) => value === null || (numeric && typeof value === "string" && Number.isNaN(Number(value)));
    order.sort((a, b) => {
      const one = values[a], other = values[b];
      if (last(one) || last(other)) return last(one) - last(other) || a - b;
      return sign * (numeric ? asNumber(one) - asNumber(other) : one < other ? -1 : one > other ? 1 : 0) || a - b;
    });
  };
  const sort = (column) => {
    const first = held.columns[column].kind !== "text";
    if (sorted?.column !== column) sorted = {column, down: first};
    else if (sorted.down === first) sorted = {column, down: !first};
    else sorted = null;
    arrange();
    drawHead();
    measure();
    draw(true);
    heard.textContent = sorted ? `Sorted by ${held.columns[column].name}, ${sorted.down ? "largest" : "smallest"} first` : "In the order of the answer";
    ranged(range());
  };
  const drawHead = () => {
    const row = element("tr");
    held.columns.forEach((column, place) => {
      const cell = element("th", isNumber(column) ? "r" : ""), button = element("button");
      cell.scope = "col";
      button.type = "button";
      const is = sorted?.column === place;
      if (is) cell.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      button.append(element("bdi", "el", column.name || "?"));
      if (column.kind === "time") button.append(element("i", "", "UTC"));
      button.append(element("span", "arrow", is ? (sorted.down ? "↓" : "↑") : ""));
      button.lastChild.setAttribute("aria-hidden", "true");
      button.title = `${column.name}, ${column.type}: sort`;
      button.addEventListener("click", () => { sort(place); head.querySelectorAll("button")[place].focus(); });
      cell.append(button);
      row.append(cell);
    });
    head.replaceChildren(row);
  };
  // Bars stand in the sorted column of figures, else in the last one that is not a small code.
  const barred = () => {
    if (held.shown < 2) return null;
    const fits = (place) => isNumber(held.columns[place]) && held.data[place].some((value) => known(value) && value !== held.data[place][0]);
    const column = sorted ? (fits(sorted.column) ? sorted.column : -1) : held.columns.findLastIndex((_, place) => fits(place));
    if (column < 0) return null;
    const some = held.data[column].filter(known), low = Math.min(0, ...some), high = Math.max(0, ...some);
    return high > low ? {column, low, high} : null;
  };
  const measure = () => {
    const bars = barred(), longest = held.columns.map((_, place) => {
      const said = new Set(held.data[place].slice(0, MEASURED).map((value) => (value === null ? "NULL" : value === "" ? "empty" : words[place](value).slice(0, 80))));
      return [...said].sort((a, b) => b.length - a.length).slice(0, 6);
    });
    const names = widthsOf(held.columns.map(({name}) => [name])), cells = widthsOf(longest);
    const widths = held.columns.map(({kind}, place) => Math.ceil(Math.min(WIDEST, Math.max(names[place] + 38 + (kind === "time" ? 26 : 0), cells[place] + 24))));
    const space = room.clientWidth - widths.reduce((sum, each) => sum + each, 0);
    span = bars && space > BAR_ROOM / 2 ? {...bars, wide: Math.min(220, space > 400 ? 160 : Math.min(space, BAR_ROOM))} : null;
    if (span) widths[span.column] += span.wide;
    // what is left goes to the texts, so that figures stay beside their names
    const left = room.clientWidth - widths.reduce((sum, each) => sum + each, 0), texts = held.columns.filter((column) => !isNumber(column)).length;
    if (left > 0) held.columns.forEach((column, place) => { if (!texts || !isNumber(column)) widths[place] += Math.floor(left / (texts || widths.length)); });
    columnsNode.replaceChildren(...widths.map((wide) => { const column = element("col"); column.style.width = `${wide}px`; return column; }));
    table.style.width = `${Math.max(widths.reduce((sum, each) => sum + each, 0), 0)}px`;
  };
  const cellOf = (place, value) => {
    const column = held.columns[place], cell = element("td", isNumber(column) ? "r n" : column.kind === "time" ? "n" : "");
    if (value === null) { cell.append(element("span", "null", "NULL")); return cell; }
    if (value === "") { cell.append(element("span", "null", "empty")); return cell; }
    const said = words[place](value), link = column.kind === "text" && /^https?:\/\/\S+$/i.test(value);
    const text = link ? tw.anchor(said, value) : element("bdi", "", said);
    cell.title = typeof value === "string" ? value : column.kind === "number" ? String(value) : said;
    if (span?.column === place) {
      const bar = element("span", "bar"), fill = element("i"), zero = -span.low / (span.high - span.low), part = known(value) ? Math.abs(value) / (span.high - span.low) : 0;
      bar.style.width = `${span.wide - 14}px`;
      fill.style.width = `${(100 * part).toFixed(1)}%`;
      fill.style.left = `${(100 * (value < 0 ? zero - part : zero)).toFixed(1)}%`;
      if (value < 0) fill.classList.add("below");
      bar.append(fill);
      cell.append(bar);
    }
    cell.append(text);
    return cell;
  };
  const range = () => {
    if (!held || !held.shown) return null;
    const first = Math.floor(room.scrollTop / ROW), high = Math.max(ROW, room.clientHeight - head.offsetHeight);
    return {first: Math.min(first + 1, held.shown), last: Math.min(held.shown, Math.floor((room.scrollTop + high) / ROW + 0.3)), sorted: sorted && held.columns[sorted.column].name};
  };
  const draw = (force) => {
    if (!held) return;
    const begin = Math.max(0, Math.floor(room.scrollTop / ROW) - 8) & ~1, end = Math.min(held.shown, begin + Math.ceil((room.clientHeight || 480) / ROW) + 18);
    if (!force && drawn === `${begin} ${end}`) return;
    drawn = `${begin} ${end}`;
    const space = (rows) => { const row = element("tr", "space"), cell = element("td"); row.setAttribute("aria-hidden", "true"); cell.colSpan = held.columns.length || 1; cell.style.height = `${rows * ROW}px`; row.append(cell); return row; };
    const rows = order.slice(begin, end).map((at, place) => {
      const row = element("tr");
      row.setAttribute("aria-rowindex", String(begin + place + 2));
      row.append(...held.columns.map((_, column) => cellOf(column, held.data[column][at])));
      return row;
    });
    body.replaceChildren(...(begin ? [space(begin)] : []), ...rows, ...(end < held.shown ? [space(held.shown - end)] : []));
  };
  const show = (answer) => {
    held = answer;
    sorted = null;
    words = held.columns.map((column, place) => columnWords(column, held.data[place]));
    table.setAttribute("aria-rowcount", String(held.shown + 1));
    arrange();
    drawHead();
    room.scrollTop = room.scrollLeft = 0;
    measure();
    draw(true);
    ranged(range());
  };
  let frame = 0;
  const again = (sized) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      if (!held || !room.clientWidth) return;
      if (sized) measure();
      draw(sized);
      ranged(range());
    });
  };
  room.addEventListener("scroll", () => again(false), {passive: true});
  new ResizeObserver(() => again(true)).observe(room);
  return {room, heard, show, onRange: (told) => { ranged = told; }, wordsOf: (place) => words[place]};
};

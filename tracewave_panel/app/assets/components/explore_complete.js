// What may be meant by a word that is begun: columns of the tables that the query names, tables, functions, keywords.
const MOST_SUGGESTED = 40;

const suggestionsFor = (sql, at, relations, forced) => {
  const pieces = wordsOf(sql), inside = pieces.find(([, text, begin]) => begin < at && at <= begin + text.length);
  if (inside && (inside[0] === "com" || inside[0] === "str" || inside[0] === "num") && at > inside[2]) {
    // right behind a text that is closed a new word may begin
    if (inside[0] !== "str" || at < inside[2] + inside[1].length || !/'$/.test(inside[1])) return null;
  }
  const before = sql.slice(0, at), typed = before.match(/[\p{L}_][\p{L}\p{N}_]*$/u)?.[0] ?? "", begin = at - typed.length;
  const owner = before.slice(0, begin).match(/(?:([\p{L}_][\p{L}\p{N}_]*)|"((?:[^"]|"")*)")\.$/u);
  if (!typed && !owner && !forced) return null;
  const tables = tablesOf(sql, relations), wanted = typed.toLowerCase(), found = new Map();
  const add = (name, insert, kind, told, weight) => {
    const low = name.toLowerCase(), place = low.indexOf(wanted);
    if (place < 0 || (place > 0 && wanted.length < 2)) return;
    // the start of a name first, then the start of one of its words
    const near = place === 0 ? 0 : low[place - 1] === "_" ? 1 : 2, key = `${kind === "keyword" ? "k" : ""}${low}`;
    const score = 10 * near + weight;
    if (!found.has(key) || found.get(key).score > score) found.set(key, {name, insert, kind, told, score, place});
  };
  const columnsOf = (relation, weight) => {
    for (const [name, type, comment] of relation.columns) add(name, plainName(name), type, comment || relation.name, weight);
  };
  if (owner) {
    const relation = tables.get((owner[1] ?? owner[2]).toLowerCase());
    if (!relation) return null;
    columnsOf(relation, 0);
  } else {
    const last = before.slice(0, begin).trimEnd().match(/[\p{L}_]+$|,$/u)?.[0] ?? "";
    const naming = /^(FROM|JOIN)$/i.test(last);
    for (const relation of relations) add(relation.name, plainName(relation.name), relation.view ? "view" : "table", relation.comment, naming ? 0 : 4);
    if (!naming) {
      for (const relation of new Set(tables.values())) columnsOf(relation, 1);
      for (const [, text] of pieces.filter(([kind, text, where], place) => kind === "name" && where !== begin && /^AS$/i.test(pieces[place - 2]?.[1] ?? "") && text.length > 1)) add(bareName(text), text, "named here", "", 2);
      for (const name of FUNCTIONS) add(name, `${name}(`, "function", "", 5);
      for (const name of KEYWORDS) add(name, name, "keyword", "", 6);
      if (!tables.size && wanted.length > 1) for (const relation of relations) columnsOf(relation, 7);
    }
  }
  const list = [...found.values()].sort((a, b) => a.score - b.score || a.name.length - b.name.length || a.name.localeCompare(b.name)).slice(0, MOST_SUGGESTED);
  const whole = list.length > 0 && list[0].name.toLowerCase() === wanted;
  return !list.length || (whole && !forced) ? null : {begin, end: at, typed, list};
};

// The list below the caret. `accept` is told the suggestion that is taken.
const suggestionList = (tw, accept) => {
  const {element} = tw;
  const box = element("ul", "suggested"), heard = element("div", "sr");
  box.setAttribute("role", "listbox");
  box.setAttribute("aria-label", "Suggestions");
  box.id = "suggested";
  box.hidden = true;
  heard.setAttribute("role", "status");
  let held = null, chosen = 0;
  const choose = (place) => {
    chosen = (place + held.list.length) % held.list.length;
    [...box.children].forEach((node, at) => node.setAttribute("aria-selected", String(at === chosen)));
    box.children[chosen].scrollIntoView({block: "nearest"});
    return `suggested-${chosen}`;
  };
  const take = (place) => { const {begin, end, list} = held; close(); accept({...list[place], begin, end}); };
  const close = () => { held = null; box.hidden = true; heard.textContent = ""; };
  const show = (suggested) => {
    held = suggested;
    box.replaceChildren(...held.list.map(({name, kind, told, place}, at) => {
      const item = element("li"), word = element("span", "word");
      item.id = `suggested-${at}`;
      item.setAttribute("role", "option");
      const long = held.typed.length;
      word.append(name.slice(0, place), element("b", "", name.slice(place, place + long)), name.slice(place + long));
      item.append(word, element("span", "kind", kind));
      if (told) item.title = told;
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(at); });
      return item;
    }));
    box.hidden = false;
    heard.textContent = `${held.list.length === 1 ? "1 suggestion" : `${held.list.length} suggestions`}, ${held.list[0].name}`;
    return choose(0);
  };
  return {box, heard, show, close, choose, take, get open() { return held !== null; }, get chosen() { return chosen; }, get told() { return held?.list[chosen]; }};
};

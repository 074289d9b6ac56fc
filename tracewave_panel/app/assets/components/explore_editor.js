// The editor: a plain text field, and under its letters the same text in colours, line by line.
// Tab indents once something was typed, and Esc gives it back, so that the keyboard is never caught.
const editorOf = (tw, act) => {
  const {element} = tw;
  const box = element("div", "code"), ground = element("pre", "ground"), field = element("textarea", "field"), wrong = element("p", "sr");
  ground.setAttribute("aria-hidden", "true");
  field.spellcheck = false;
  for (const [name, value] of Object.entries({"aria-label": "SQL", "aria-autocomplete": "list", "aria-controls": "suggested", "aria-describedby": "editor-keys wrong", autocapitalize: "off", autocomplete: "off", autocorrect: "off", rows: "1", wrap: "soft"}))
    field.setAttribute(name, value);
  const keys = element("p", "sr", "Control and Enter runs, Escape cancels. Suggestions come while you type: arrows choose, Enter or Tab takes one. Tab indents after typing; press Escape before Tab to leave.");
  keys.id = "editor-keys";
  wrong.id = "wrong";
  let relations = [], typed = false, fault = null, told = null;
  const list = suggestionList(tw, ({begin, end, insert}) => {
    replace(begin, end, insert);
    if (insert.endsWith("(") && field.value[field.selectionStart] !== ")") { put(")"); field.setSelectionRange(field.selectionStart - 1, field.selectionStart - 1); }
  });
  box.append(ground, field);

  // As if typed: the browser's own undo takes it back.
  const put = (text) => {
    if (!document.execCommand("insertText", false, text)) field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  };
  const replace = (begin, end, text) => {
    field.focus({preventScroll: true});
    field.setSelectionRange(begin, end);
    if (text === "" && begin === end) return;
    if (text === "") document.execCommand("delete");
    else put(text);
    changed(false);
  };

  /* Colours, and the place of an error */
  const draw = () => {
    const lines = [element("div", "ln")];
    for (const [kind, text, begin] of wordsOf(field.value)) {
      let at = begin;
      text.split("\n").forEach((part, place) => {
        if (place) { lines.push(element("div", "ln")); at += 1; }
        if (part) {
          const marked = fault && at < fault.end && at + part.length > fault.begin;
          const classes = [kind && kind !== "name" ? `sx-${kind}` : "", marked ? "fault" : ""].filter(Boolean).join(" ");
          lines.at(-1).append(classes ? element("span", classes, part) : part);
          if (marked) lines.at(-1).classList.add("faulty");
        }
        at += part.length;
      });
    }
    for (const line of lines) if (!line.firstChild) line.append("\u200b");
    ground.style.setProperty("--digits", String(Math.max(2, String(lines.length).length)));
    ground.replaceChildren(...lines);
  };
  const mark = (next) => {
    fault = next && next.end > next.begin ? next : null;
    if (fault) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    wrong.textContent = fault ? `Error at line ${lineOf(fault.begin)}, at ${field.value.slice(fault.begin, fault.end)}` : "";
    draw();
  };
  const lineOf = (at) => field.value.slice(0, at).split("\n").length;

  /* Suggestions */
  const rectangleAt = (at) => {
    const line = lineOf(at) - 1, column = at - (field.value.lastIndexOf("\n", at - 1) + 1);
    const node = ground.children[line], walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT), range = document.createRange();
    let left = column;
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      if (left <= text.length) { range.setStart(text, left); range.collapse(true); return range.getBoundingClientRect(); }
      left -= text.length;
    }
    return node.getBoundingClientRect();
  };
  const suggest = (forced) => {
    const none = field.selectionStart !== field.selectionEnd || !relations.length;
    const suggested = none ? null : suggestionsFor(field.value, field.selectionStart, relations, forced);
    if (!suggested) { closeList(); return; }
    field.setAttribute("aria-activedescendant", list.show(suggested));
    const caret = rectangleAt(suggested.begin), room = act.room().getBoundingClientRect();
    const wide = list.box.offsetWidth, high = list.box.offsetHeight;
    const above = caret.bottom + high + 8 > innerHeight && caret.top - high > 8;
    list.box.style.left = `${Math.max(4, Math.min(caret.left - room.left - 9, room.width - wide - 4))}px`;
    list.box.style.top = `${(above ? caret.top - high - 4 : caret.bottom + 3) - room.top}px`;
  };
  const closeList = () => { list.close(); field.removeAttribute("aria-activedescendant"); };
  const choose = (by) => field.setAttribute("aria-activedescendant", list.choose(list.chosen + by));

  const changed = (bySomebody) => {
    if (fault) mark(null);
    else draw();
    if (told !== field.value) { told = field.value; act.changed(field.value); }
    if (bySomebody) { typed = true; suggest(false); }
  };
  const indent = (back) => {
    const {value, selectionStart: from, selectionEnd: until} = field;
    const begin = value.lastIndexOf("\n", from - 1) + 1, lines = value.slice(begin, until);
    if (from === until && !back) { put("  "); return; }
    const moved = back ? lines.replace(/^ {1,2}/gm, "") : lines.replace(/^(?=[^\n])/gm, "  ");
    if (moved === lines) return;
    replace(begin, until, moved);
    if (from !== until) field.setSelectionRange(begin, begin + moved.length);
  };

  field.addEventListener("input", (event) => changed(event.inputType !== "historyUndo" && event.inputType !== "historyRedo"));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const {key} = event, command = event.ctrlKey || event.metaKey;
    const handled = () => { event.preventDefault(); event.stopPropagation(); };
    if (command && key === "Enter") { handled(); closeList(); act.run(); return; }
    if (command && key === " ") { handled(); suggest(true); return; }
    if (key === "Escape") {
      handled();
      if (list.open) closeList();
      else { typed = false; act.cancel(); }
      return;
    }
    if (list.open && !command && !event.altKey) {
      if (key === "ArrowDown" || key === "ArrowUp") { handled(); choose(key === "ArrowDown" ? 1 : -1); return; }
      if (!event.shiftKey && (key === "Enter" || key === "Tab")) { handled(); field.removeAttribute("aria-activedescendant"); list.take(list.chosen); return; }
      if (["ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"].includes(key)) closeList();
    }
    if (key === "Tab" && !command && !event.altKey && (typed || field.selectionStart !== field.selectionEnd)) { handled(); indent(event.shiftKey); return; }
    if (key === "Enter" && !command && !event.shiftKey && !event.altKey) {
      const {value, selectionStart: at} = field, line = value.slice(value.lastIndexOf("\n", at - 1) + 1, at), deep = line.match(/^ */)[0];
      if (deep) { handled(); put(`\n${deep}`); }
    }
  });
  field.addEventListener("blur", () => { closeList(); typed = false; });
  field.addEventListener("pointerdown", closeList);
  const set = (sql) => {
    if (sql === field.value) return;
    field.value = sql;
    fault = null;
    typed = false;
    closeList();
    mark(null);
    told = sql;
    box.scrollTop = 0;
  };
  // A name from the schema, with the spaces that it needs around it.
  const insert = (name) => {
    const {value, selectionStart: from, selectionEnd: until} = field;
    const before = from > 0 && /[\p{L}\p{N}_"')]/u.test(value[from - 1]) ? " " : "", after = /[\p{L}\p{N}_"']/u.test(value[until] ?? "") ? " " : "";
    replace(from, until, `${before}${plainName(name)}${after}`);
  };
  const point = (at) => { field.focus(); field.setSelectionRange(at.begin, at.end); };
  draw();
  return {nodes: [keys, wrong, list.heard], box, list: list.box, field, set, insert, mark, point, lineOf, know: (known) => { relations = known; }, get sql() { return field.value; }};
};

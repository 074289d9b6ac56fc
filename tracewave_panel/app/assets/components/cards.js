// One card an episode, kept by id: a card that grows or closes changes in place. Titles and dimension
// values are the feed's; everything enters as textContent.
export function render({model, el}) {
  const tw = window.tracewave;
  const {element} = tw;
  const rail = element("div", "rail"), head = element("div", "ph"), count = element("span", "m"), list = element("div", "cards");
  head.append(element("h2", "", "Anomalies"), count);
  list.setAttribute("role", "log");
  list.setAttribute("aria-live", "polite");
  list.setAttribute("aria-label", "Anomalies, newest first");
  list.tabIndex = 0;
  const empty = element("div", "empty"), since = element("span"), hint = element("p");
  empty.append(element("b", "", "Nothing unusual yet"), since, hint);
  rail.append(head, empty, list);
  const shown = new Map();
  let settled = false;

  const now = () => tw.row?.end ?? Date.now();
  const lasting = (card) => tw.length((card.closed === null ? now() / 1000 : card.closed) - card.opened);
  const big = (name, value, unit) => {
    const box = element("div"), figure = element("b", "", value);
    if (unit) figure.append(element("small", "", unit));
    box.append(element("span", "", name), figure);
    return box;
  };
  const bars = (card) => {
    const why = element("div", "why");
    const most = Math.max(...card.why.map((part) => Math.abs(part.excess)), 1e-9);
    const zero = card.why.some((part) => part.excess < 0) ? 25 : 0;
    const room = Math.min(100 - zero, card.why.some((part) => part.excess > 0) ? 100 : 25);
    for (const part of card.why) {
      const up = part.excess >= 0, bar = element("div", "bar"), fill = element("i");
      const wide = Math.max(1, up ? (100 - zero) * part.excess / most : Math.min(zero, (100 - zero) * -part.excess / most));
      bar.style.setProperty("--zero", `${zero}%`);
      bar.style.setProperty("--bc", part.named ? "var(--sc)" : "var(--text-3)");
      fill.style.width = `${wide}%`;
      fill.style[up ? "left" : "right"] = up ? `${zero}%` : `${100 - zero}%`;
      bar.append(fill);
      const name = element("bdi", `el${part.named ? "" : " minor"}`, part.value);
      name.title = part.value;
      why.append(element("span", "k", part.dimension), name, bar, element("span", `e${part.named ? "" : " minor"}`, `${up ? "+" : "−"}${tw.figure(Math.abs(part.excess))}`));
    }
    return why;
  };
  const samples = (card) => {
    const box = element("div", "samples");
    for (const {dimension, value, events} of card.samples) {
      const of = element("div", "of el");
      of.append(element("span", "k", dimension), element("bdi", "", value));
      box.append(of);
      for (const [time, title, address] of events) {
        const words = tw.anchor(title || "untitled", address), isolated = element("bdi", "el");
        words.title = title;
        isolated.append(words);
        box.append(element("span", "k", time), isolated);
      }
    }
    return box;
  };
  const rare = (card) => {
    const words = tw.rarity(card.rarity);
    if (!words && !card.provisional) return [];
    const line = element("div", "rare");
    if (words) line.append("How rare: ", element("b", "", words));
    if (card.provisional) line.append(tw.provisional());
    return [line];
  };
  const accounted = (card) => {
    const line = element("div", "acc");
    line.append(element("span", "", card.conclusion));
    if (card.verdict === "culprit") {
      const track = element("span", "t"), fill = element("i");
      fill.style.width = `${Math.round(100 * Math.min(1, Math.max(0, card.completeness)))}%`;
      track.append(fill);
      line.append(track);
    }
    return line;
  };
  const chips = (card) => {
    const box = element("div", "chips");
    for (const [name, word, colour] of card.detectors) {
      const chip = element("span", `chip ${word}`, word === "agrees" ? name : `${name} ${word}`);
      chip.style.setProperty("--c", `var(${colour})`);
      box.append(chip);
    }
    return box;
  };
  const heading = (card) => {
    const line = element("div", "hd"), severity = element("span", `sev ${card.severity}`);
    severity.append(tw.severityMark(card.severity), card.severity.toUpperCase());
    const state = element("span", "state");
    line.append(severity, state, element("span", "sp"), element("span", "", `${card.closed === null ? "since " : ""}${tw.clock(1000 * card.opened)}`));
    return [line, state];
  };
  const draw = (entry) => {
    const {card, node} = entry, open = card.closed === null;
    node.className = `card ${open ? "open" : "closed"}${node.classList.contains("arriving") ? " arriving" : ""}`;
    node.style.setProperty("--sc", `var(--${card.severity})`);
    node.style.setProperty("--tint", `var(--${card.severity}-tint)`);
    const [line, state] = heading(card);
    entry.state = state;
    const title = element("h3"), words = element("bdi", "", card.title);
    title.title = card.title;
    title.append(words);
    const parts = [line, title, ...rare(card)];
    if (open) {
      const four = element("div", "big4");
      four.append(big("observed", card.observed, card.unit), big("expected", card.expected, card.unit), big("ratio", card.ratio || "–"), big("confidence", card.confidence));
      four.lastChild.lastChild.style.color = `var(--${card.severity})`;
      parts.push(four, chips(card));
    } else {
      const two = element("div", "ln2"), first = element("span"), second = element("span", "", "confidence ");
      first.append(element("b", "", card.observed), ` against ${card.expected}${card.ratio ? ", " : ""}`, element("b", "", card.ratio));
      second.append(element("b", "", card.confidence));
      two.append(first, second, element("span", "el", card.agreement));
      parts.push(two);
    }
    const why = [...(card.why.length ? [bars(card)] : []), accounted(card)];
    const shown = card.samples.length ? [samples(card)] : [];
    const fold = (words, ...inside) => {
      const more = element("details");
      more.open = node.querySelector("details")?.open ?? false;
      more.append(element("summary", "", words), ...inside);
      return more;
    };
    if (!open) parts.push(fold("Why, and who agreed", chips(card), ...why, ...shown));
    else parts.push(...why, ...(shown.length ? [fold(`Some of these ${model.noun}`, ...shown)] : []));
    node.replaceChildren(...parts);
    tick(entry);
  };
  const tick = ({card, state}) => { state.textContent = card.closed === null ? `Open for ${lasting(card)}` : `closed after ${lasting(card)}`; };
  const update = () => {
    const cards = JSON.parse(model.cards);
    const kept = new Set(cards.map((card) => card.id));
    for (const [id, entry] of shown) if (!kept.has(id)) { entry.node.remove(); shown.delete(id); }
    cards.forEach((card, place) => {
      let entry = shown.get(card.id);
      if (!entry) {
        entry = {node: element("article"), told: ""};
        if (settled) entry.node.classList.add("arriving");
        entry.node.addEventListener("animationend", () => entry.node.classList.remove("arriving"));
        entry.node.dataset.id = card.id;
        shown.set(card.id, entry);
      }
      const told = JSON.stringify(card);
      if (told !== entry.told) { entry.told = told; entry.card = card; draw(entry); }
      if (list.children[place] !== entry.node) list.insertBefore(entry.node, list.children[place] ?? null);
    });
    const open = cards.filter((card) => card.closed === null).length;
    count.textContent = `${open} open, ${cards.length - open} closed`;
    empty.hidden = cards.length > 0;
    settled = true;
  };
  const wait = () => {
    for (const entry of shown.values()) if (entry.card.closed === null) tick(entry);
    since.textContent = tw.row ? `Watching for ${tw.length((now() - tw.first()) / 1000)}.` : "Waiting for the first window.";
    hint.textContent = model.judging;
  };
  model.on("cards", update);
  model.on("judging", wait);
  tw.listen("row", rail, ({hovered}) => { if (!hovered) wait(); });
  update();
  wait();
  return rail;
}

// One card: its parts are made once and filled anew, so that a button keeps the focus while its card
// grows or closes. Titles, dimension values and names are the feed's; all enter as textContent.
const SHAPES = {
  play: {d: "M3 1.6L10 6 3 10.4Z", fill: "currentColor"},
  link: {d: "M5 7l2-2M5.4 3.6l1-1a2.1 2.1 0 0 1 3 3l-1 1M6.6 8.4l-1 1a2.1 2.1 0 0 1-3-3l1-1", stroke: "currentColor", "stroke-width": 1.2, "stroke-linecap": "round"},
  tick: {d: "M2.2 6.4L4.9 9 9.8 3.2", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round"},
  cross: {d: "M3 3L9 9M9 3L3 9", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round"},
  ask: {d: "M2 3.2C2 2.3 3.8 1.6 6 1.6s4 .7 4 1.6S8.2 4.8 6 4.8 2 4.1 2 3.2ZM2 3.2V8.8c0 .9 1.8 1.6 4 1.6s4-.7 4-1.6V3.2M2 6c0 .9 1.8 1.6 4 1.6S10 6.9 10 6", stroke: "currentColor", "stroke-width": 1.1},
  fold: {d: "M2.5 4.5L6 8 9.5 4.5", stroke: "currentColor", "stroke-width": 1.4, "stroke-linecap": "round", "stroke-linejoin": "round"},
};
const VERDICTS = {real: ["real", "tick"], not_real: ["not real", "cross"]};
const shape = (tw, name, size = 12) => tw.drawing(size, 12, SHAPES[name]);

const pressable = (tw, className, words, icon = null, label = "") => {
  const button = tw.element("button", className);
  button.type = "button";
  if (icon) button.append(shape(tw, icon));
  if (words) button.append(words);
  if (label) { button.setAttribute("aria-label", label); button.title = label; }
  return button;
};

// Disabled in a way that the reason can still be reached by keyboard.
const allow = (button, reason) => {
  if (button.title === reason && button.hasAttribute("aria-disabled") === Boolean(reason)) return;
  button.title = reason;
  if (reason) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
};

const big = (tw, name, value, unit) => {
  const box = tw.element("div"), figure = tw.element("b", "", value);
  if (unit) figure.append(tw.element("small", "", unit));
  box.append(tw.element("span", "", name), figure);
  return box;
};

const bars = (tw, card) => {
  const why = tw.element("div", "why");
  const most = Math.max(...card.why.map((part) => Math.abs(part.excess)), 1e-9);
  const zero = card.why.some((part) => part.excess < 0) ? 25 : 0;
  for (const part of card.why) {
    const up = part.excess >= 0, bar = tw.element("div", "bar"), fill = tw.element("i");
    const wide = Math.max(1, up ? (100 - zero) * part.excess / most : Math.min(zero, (100 - zero) * -part.excess / most));
    bar.style.setProperty("--zero", `${zero}%`);
    bar.style.setProperty("--bc", part.named ? "var(--sc)" : "var(--text-3)");
    fill.style.width = `${wide}%`;
    fill.style[up ? "left" : "right"] = up ? `${zero}%` : `${100 - zero}%`;
    bar.append(fill);
    const minor = part.named ? "" : " minor", name = tw.element("bdi", `el${minor}`, part.value);
    name.title = part.value;
    const dimension = tw.element("span", "k el", part.dimension);
    dimension.title = part.dimension;
    why.append(dimension, name, bar, tw.element("span", `e${minor}`, `${up ? "+" : "−"}${tw.figure(Math.abs(part.excess))}`));
  }
  return why;
};

const samples = (tw, card) => card.samples.flatMap(({dimension, value, events}) => {
  const of = tw.element("div", "of el");
  of.append(tw.element("span", "k", dimension), tw.element("bdi", "", value));
  of.title = `${dimension} ${value}`;
  return [of, ...events.flatMap(([time, title, address]) => {
    const words = tw.anchor(title || "untitled", address), isolated = tw.element("bdi", "el");
    words.title = title;
    isolated.append(words);
    return [tw.element("span", "k", time), isolated];
  })];
});

const rare = (tw, card) => {
  const words = tw.rarity(card.rarity);
  if (!words && !card.provisional) return [];
  const line = tw.element("div", "rare");
  if (words) line.append("How rare: ", tw.element("b", "", words));
  if (card.provisional) line.append(tw.provisional());
  return [line];
};

const accounted = (tw, card) => {
  const line = tw.element("div", "acc");
  line.append(tw.element("span", "", card.conclusion));
  if (card.verdict === "culprit") {
    const track = tw.element("span", "t"), fill = tw.element("i");
    fill.style.width = `${Math.round(100 * Math.min(1, Math.max(0, card.completeness)))}%`;
    track.append(fill);
    line.append(track);
  }
  return line;
};

const chips = (tw, card) => {
  const box = tw.element("div", "chips");
  for (const [name, word, colour] of card.detectors) {
    const chip = tw.element("span", `chip ${word}`, word === "agrees" ? name : `${name} ${word}`);
    chip.style.setProperty("--c", `var(${colour})`);
    box.append(chip);
  }
  return box;
};

// What people say, in words: shown as a mark on the card, and whole in its fold.
const saidOf = (tw, label) => {
  const by = label.by ? ` by ${label.by}` : "";
  return `Labelled ${VERDICTS[label.verdict][0]} at ${tw.clock(1000 * label.at)}${by}`;
};

const heading = (tw, card, recent) => {
  const line = tw.element("div", "hd"), severity = tw.element("span", `sev ${card.severity}`), state = tw.element("span", "state el");
  severity.append(tw.severityMark(card.severity), card.severity.toUpperCase());
  const open = card.closed === null, length = document.createTextNode("");
  state.append(open ? "Open" : "closed", tw.element("span", "narrow", open ? " for" : " after"), length);
  line.append(severity, state);
  if (card.label) {
    const [words, icon] = VERDICTS[card.label.verdict], mark = tw.element("span", `verdict ${card.label.verdict}`);
    mark.append(shape(tw, icon, 9), tw.element("span", "word", words));
    mark.title = saidOf(tw, card.label);
    line.append(mark);
  }
  const time = tw.clock(1000 * card.opened).slice(0, recent ? 8 : 5);
  line.append(tw.element("span", "sp"), tw.element("span", "", `${open ? "since " : ""}${time}`));
  return [line, length];
};

const figures = (tw, card) => {
  if (card.closed === null) {
    const four = tw.element("div", "big4");
    four.append(big(tw, "observed", card.observed, card.unit), big(tw, "expected", card.expected, card.unit), big(tw, "ratio", card.ratio || "–"), big(tw, "confidence", card.confidence));
    four.lastChild.lastChild.style.color = `var(--${card.severity})`;
    return four;
  }
  const line = tw.element("div", "ln2"), first = tw.element("span"), second = tw.element("span", "", "confidence ");
  first.append(tw.element("b", "", card.observed), ` against ${card.expected}${card.ratio ? ", " : ""}`, tw.element("b", "", card.ratio));
  second.append(tw.element("b", "", card.confidence));
  line.append(first, second, tw.element("span", "el", card.agreement));
  return line;
};

let made = 0;

/* The parts of a card that stay; `act` says what its buttons do. */
const newCard = (tw, noun, act) => {
  const entry = {node: tw.element("article"), card: null, told: "", samplesTold: "", recent: true, unfolded: false, raw: false, pending: null, hushing: null, notified: false, length: null};
  const part = (name, tag, className = "") => (entry[name] = tw.element(tag, className));
  const number = ++made;
  entry.node.tabIndex = -1;
  const lead = part("lead", "div", "lead"), fold = part("fold", "div", "fold"), acts = tw.element("div", "acts");
  fold.id = `fold-${number}`;
  lead.append(part("top", "div"), entry.more = pressable(tw, "more", "", "fold", "Why, and who agreed"));
  entry.more.setAttribute("aria-controls", fold.id);
  entry.replay = pressable(tw, "btn", "Replay", "play");
  entry.real = pressable(tw, "btn", "Real");
  entry.notReal = pressable(tw, "btn", "Not real");
  entry.rawButton = pressable(tw, "btn", `Raw ${noun}`);
  entry.link = pressable(tw, "btn sq", "", "link", "Copy link");
  entry.ask = tw.element("a", "btn sq");
  entry.ask.append(shape(tw, "ask"));
  entry.ask.title = "Ask history about this anomaly";
  entry.ask.setAttribute("aria-label", "Ask history");
  acts.setAttribute("role", "group");
  acts.setAttribute("aria-label", "What to do with this anomaly");
  addSilence(tw, entry, number, act);
  acts.append(entry.replay, entry.real, entry.notReal, entry.rawButton, entry.ask, entry.bell, entry.link);
  part("line", "p", "line").setAttribute("role", "status");
  part("address", "input", "address").readOnly = true;
  entry.address.setAttribute("aria-label", "Link to this anomaly");
  entry.address.hidden = true;
  entry.address.addEventListener("focus", () => entry.address.select());
  part("samples", "div", "samples").id = `raw-${number}`;
  entry.rawButton.setAttribute("aria-controls", entry.samples.id);
  fold.append(part("body", "div"), acts, entry.menu, entry.hushed, part("said", "p", "said"), entry.line, entry.address, entry.samples);
  entry.node.append(lead, fold);
  for (const [button, name] of [[entry.replay, "replay"], [entry.real, "real"], [entry.notReal, "notReal"], [entry.rawButton, "raw"], [entry.link, "copy"]])
    button.addEventListener("click", () => { if (!button.hasAttribute("aria-disabled")) act[name](entry); });
  entry.ask.addEventListener("click", (event) => act.ask(entry, event));
  lead.addEventListener("click", (event) => act.lead(entry, event.target.closest("button")));
  return entry;
};

/* Says on a card's own line what came of a press; an empty text clears it. */
const sayOn = (entry, words, trouble = false) => {
  entry.line.textContent = words;
  entry.line.className = `line${trouble ? " trouble" : ""}`;
};

const drawButtons = (entry) => {
  const verdict = entry.card.label?.verdict ?? null, asked = entry.pending;
  for (const [button, means] of [[entry.real, "real"], [entry.notReal, "not_real"]]) {
    const waits = asked !== null && (asked.verdict === means || (asked.verdict === null && verdict === means));
    button.setAttribute("aria-pressed", String(verdict === means));
    button.classList.toggle("pending", waits);
    allow(button, asked ? "Waiting for the server's word" : "");
  }
  entry.rawButton.setAttribute("aria-expanded", String(entry.raw));
  entry.samples.hidden = !entry.raw;
};

const drawFold = (entry) => {
  const closed = entry.card.closed !== null;
  if (closed && !entry.unfolded) entry.closeMenu();
  entry.more.hidden = !closed;
  entry.more.setAttribute("aria-expanded", String(entry.unfolded));
  entry.fold.hidden = closed && !entry.unfolded;
  entry.node.classList.toggle("unfolded", entry.unfolded);
};

const drawCard = (tw, noun, entry) => {
  const {card, node} = entry, open = card.closed === null;
  node.classList.toggle("open", open);
  node.classList.toggle("closed", !open);
  node.classList.add("card");
  node.style.setProperty("--sc", `var(--${card.severity})`);
  node.style.setProperty("--tint", `var(--${card.severity}-tint)`);
  const [line, length] = heading(tw, card, entry.recent), title = tw.element("h3");
  entry.length = length;
  title.title = card.title;
  title.append(tw.element("bdi", "", card.title));
  entry.top.replaceChildren(line, title, ...rare(tw, card), figures(tw, card));
  entry.body.replaceChildren(chips(tw, card), ...(card.why.length ? [bars(tw, card)] : []), accounted(tw, card));
  entry.said.textContent = card.label ? saidOf(tw, card.label) : "";
  const told = JSON.stringify(card.samples);
  if (told !== entry.samplesTold) {
    entry.samplesTold = told;
    entry.samples.replaceChildren(...samples(tw, card));
  }
  entry.ask.href = tw.addressOf?.("explore", `anomaly=${encodeURIComponent(card.id)}`).href ?? "#";
  allow(entry.rawButton, card.samples.length ? "" : `No ${noun} were kept with this anomaly`);
  drawButtons(entry);
  drawSilence(tw, entry);
  drawFold(entry);
};

/* What changes with time alone: how long, and whether its windows are still there to be replayed. */
const tickCard = (tw, entry, now) => {
  const {card} = entry, until = card.closed === null ? now / 1000 : card.closed;
  const words = tw.length(until - card.opened);
  if (entry.length.data !== ` ${words}`) entry.length.data = ` ${words}`;
  const first = tw.first?.();
  const held = Number.isFinite(first) && 1000 * card.opened >= first;
  allow(entry.replay, held ? "" : Number.isFinite(first) ? "Its windows are no longer held on this page" : "No window is held yet");
};

// The list of cards: kept by id, newest first, one of them picked. A label or a mute is sent to the server and
// shown when the server's own word on the card has come back, in every session alike.
const PATIENCE = 8000, HOUR = 3_600_000, DAY = 86_400_000; // milliseconds

export function render({model}) {
  const tw = window.tracewave;
  const {element} = tw;
  const rail = element("div", "rail"), head = element("div", "ph"), count = element("span", "m n"), list = element("div", "cards");
  const filter = element("div", "seg"), all = pressable(tw, "", "All"), onlyOpen = pressable(tw, "", "Open");
  filter.setAttribute("role", "group");
  filter.setAttribute("aria-label", "Anomalies shown");
  filter.append(all, onlyOpen);
  head.append(element("h2", "", "Anomalies"), count, element("span", "sp"), filter);
  // Its durations tick: what is new is said once, in a line of its own, instead of every second.
  list.setAttribute("role", "log");
  list.setAttribute("aria-live", "off");
  list.setAttribute("aria-label", "Anomalies, newest first");
  const heard = element("div", "sr");
  heard.setAttribute("role", "status");
  const empty = element("div", "empty"), since = element("span"), hint = element("p");
  empty.append(element("b", "", "Nothing unusual yet"), since, hint);
  const none = element("div", "empty", "None is open at the moment."), missing = element("div", "missing"), dismiss = pressable(tw, "btn sq", "", "cross", "Dismiss");
  missing.setAttribute("role", "note");
  missing.append(element("span", "", "The anomaly of this link is not among those held here."), dismiss);
  missing.hidden = true;
  rail.append(head, missing, empty, none, list, heard);

  const shown = new Map(), dividers = new Map();
  let order = [], current = null, untold = null, settled = false, asked = 0, minute = null;
  let wanted = tw.url.get("anomaly"), open = tw.url.get("cards") === "open";

  const now = () => tw.row?.end ?? Date.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const range = ({card}) => ({id: card.id, opened: 1000 * card.opened, closed: card.closed === null ? null : 1000 * card.closed});
  const visible = () => order.filter((entry) => !entry.node.hidden);
  const focused = () => shown.get(rail.getRootNode().activeElement?.closest?.("article")?.dataset.id);
  const rove = () => {
    const stop = current && !current.node.hidden ? current : visible()[0];
    for (const entry of order) entry.node.tabIndex = entry === stop ? 0 : -1;
  };

  /* Picking */
  const announceCard = (entry) => {
    untold = tw.row ? null : entry; // before the first window there is no time axis to show it on
    if (tw.row) tw.announce("card", range(entry));
  };
  const pick = (entry) => {
    wanted = null;
    missing.hidden = true;
    if (current === entry) return;
    current?.node.classList.remove("picked");
    current?.node.removeAttribute("aria-current");
    current = entry;
    entry.node.classList.add("picked");
    entry.node.setAttribute("aria-current", "true");
    rove();
    tw.url.set({anomaly: entry.card.id});
    announceCard(entry);
  };
  const reveal = (entry) => entry.node.scrollIntoView({block: "nearest", behavior: still.matches ? "auto" : "smooth"});
  const goTo = (entry) => {
    pick(entry);
    entry.node.focus({preventScroll: true});
    reveal(entry);
  };
  const unfold = (entry, unfolded) => {
    entry.unfolded = unfolded;
    drawFold(entry);
  };
  const step = (by) => {
    const cards = visible(), at = cards.indexOf(focused() ?? current);
    const next = at < 0 ? cards[0] : cards[at + by];
    if (next) goTo(next);
  };
  const openCard = (id) => {
    const entry = shown.get(id);
    if (!entry) { wanted = id; missing.hidden = false; return; }
    if (open && entry.card.closed !== null) show(false);
    unfold(entry, true);
    goTo(entry);
  };
  const lookForWanted = () => {
    if (wanted === null) return;
    const entry = shown.get(wanted);
    missing.hidden = Boolean(entry) || !settled;
    if (!entry) return;
    if (open && entry.card.closed !== null) show(false);
    unfold(entry, true);
    pick(entry);
    requestAnimationFrame(() => reveal(entry));
  };

  /* What the buttons do */
  const label = (entry, verdict) => {
    const pending = entry.pending = {number: ++asked, verdict: entry.card.label?.verdict === verdict ? null : verdict};
    sayOn(entry, "");
    drawButtons(entry);
    model.send_msg({id: entry.card.id, ...pending});
    setTimeout(() => { if (entry.pending === pending) settle(entry, "pending", "The server has not answered; the label may not be kept."); }, PATIENCE);
  };
  const ask = (entry, what) => {
    const hushing = entry.hushing = {number: ++asked};
    sayOn(entry, "");
    drawSilence(tw, entry);
    model.send_msg({id: entry.card.id, ...hushing, ...what});
    setTimeout(() => { if (entry.hushing === hushing) settle(entry, "hushing", "The server has not answered; what was asked of notices may not hold."); }, PATIENCE);
  };
  const settle = (entry, wait, error) => {
    entry[wait] = null;
    sayOn(entry, error, true);
    drawButtons(entry);
    drawSilence(tw, entry);
  };
  const copy = async (entry) => {
    const address = new URL(location.href), page = address.searchParams.get("page");
    address.hash = address.search = "";
    if (page !== null) address.searchParams.set("page", page);
    address.searchParams.set("anomaly", entry.card.id);
    try {
      await navigator.clipboard.writeText(address.href);
      entry.address.hidden = true;
      sayOn(entry, "Link copied");
      setTimeout(() => { if (entry.line.textContent === "Link copied") sayOn(entry, ""); }, 4000);
    } catch {
      entry.address.hidden = false;
      entry.address.value = address.href;
      sayOn(entry, "The browser keeps its clipboard to itself; copy this:");
      entry.address.focus();
    }
  };
  const act = {
    replay: (entry) => { pick(entry); tw.announce("replay-episode", range(entry)); },
    real: (entry) => label(entry, "real"),
    notReal: (entry) => label(entry, "not_real"),
    raw: (entry) => { entry.raw = !entry.raw; drawButtons(entry); },
    copy,
    ask(entry, event) {
      // inside a notebook's cell there is no way back: it opens beside
      if (document.documentElement.dataset.embed) { entry.ask.target = "_blank"; entry.ask.rel = "noopener"; return; }
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      tw.go("explore", `anomaly=${encodeURIComponent(entry.card.id)}`);
    },
    silence: (entry, silence) => ask(entry, {silence}),
    undo: (entry, undo) => ask(entry, {undo}),
    lead(entry, button) {
      if (!button && getSelection().toString()) return; // somebody selects a title
      pick(entry);
      if (entry.card.closed !== null) unfold(entry, !entry.unfolded);
    },
  };
  list.addEventListener("keydown", (event) => {
    const entry = event.key === "Enter" && event.target.matches("article") ? shown.get(event.target.dataset.id) : null;
    if (entry) { event.preventDefault(); act.lead(entry, entry.more); }
  });

  /* The list */
  const groupOf = (opened) => {
    const behind = Math.floor(now() / DAY) - Math.floor(opened / DAY);
    if (now() - opened < HOUR) return "";
    if (behind <= 0) return "Earlier today";
    if (behind === 1) return "Yesterday";
    return new Date(opened).toLocaleDateString("en-GB", {timeZone: "UTC", weekday: "short", day: "numeric", month: "short"});
  };
  const divider = (words) => {
    if (!dividers.has(words)) dividers.set(words, element("div", "day", words));
    return dividers.get(words);
  };
  const arrange = () => {
    const nodes = [];
    let group = "";
    for (const entry of order) {
      const of = groupOf(1000 * entry.card.opened), recent = of === "";
      if (entry.recent !== recent) { entry.recent = recent; drawCard(tw, model.noun, entry); tickCard(tw, entry, now()); }
      entry.node.hidden = open && entry.card.closed !== null;
      if (!entry.node.hidden && of !== group) nodes.push(divider(group = of));
      nodes.push(entry.node);
    }
    // what is in place stays there: a node that is moved loses the focus
    for (const child of [...list.children]) if (!nodes.includes(child)) child.remove();
    nodes.forEach((node, place) => { if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null); });
    minute = Math.floor(now() / 60_000);
    none.hidden = !order.length || visible().length > 0;
    rove();
  };
  const show = (value) => {
    open = value;
    tw.url.set({cards: open ? "open" : null});
    all.setAttribute("aria-pressed", String(!open));
    onlyOpen.setAttribute("aria-pressed", String(open));
    arrange();
  };
  const arrive = (entry) => {
    entry.node.classList.add("arriving");
    // also where no animation runs that could end
    setTimeout(() => entry.node.classList.remove("arriving"), 400);
  };
  const update = () => {
    const cards = JSON.parse(model.cards), kept = new Set(cards.map((card) => card.id));
    for (const [id, entry] of shown)
      if (!kept.has(id)) {
        entry.closeMenu();
        entry.node.remove();
        shown.delete(id);
        if (current === entry) current = null;
      }
    order = cards.map((card) => {
      let entry = shown.get(card.id);
      if (!entry) {
        entry = newCard(tw, model.noun, act);
        entry.node.dataset.id = card.id;
        if (settled) {
          arrive(entry);
          heard.textContent = `New: ${card.severity}, ${card.title}`;
        }
        entry.notified = model.notified;
        shown.set(card.id, entry);
      }
      const told = JSON.stringify(card);
      if (told !== entry.told) {
        const closes = entry.card?.closed === null && card.closed !== null;
        if (closes) {
          entry.unfolded = entry === current || entry === focused(); // nothing folds under somebody's hands
          heard.textContent = `Closed: ${card.title}`;
        } else if (entry.card && model.notified && JSON.stringify(entry.card.muted) !== JSON.stringify(card.muted))
          heard.textContent = `${card.muted.length ? card.muted.map(({words}) => words).join(", ") : "Notices are sent again"}: ${card.title}`;
        Object.assign(entry, {told, card});
        drawCard(tw, model.noun, entry);
        tickCard(tw, entry, now());
      }
      return entry;
    });
    arrange();
    tw.told.episodes = cards;
    tw.announce("episodes", null);
    const many = cards.filter((card) => card.closed === null).length;
    count.textContent = `${many} open, ${cards.length - many} closed`;
    empty.hidden = cards.length > 0;
    settled = true;
    lookForWanted();
  };
  const wait = () => {
    for (const entry of order) tickCard(tw, entry, now());
    if (minute !== Math.floor(now() / 60_000)) arrange();
    if (untold && tw.row) announceCard(untold);
    since.textContent = tw.row ? `Watching for ${tw.length((now() - tw.first()) / 1000)}.` : "Waiting for the first window.";
    hint.textContent = model.judging;
  };

  all.addEventListener("click", () => show(false));
  onlyOpen.addEventListener("click", () => show(true));
  dismiss.addEventListener("click", () => { wanted = null; missing.hidden = true; tw.url.set({anomaly: null}); });
  model.on("cards", update);
  model.on("judging", wait);
  model.on("notified", () => {
    for (const entry of order) { entry.notified = model.notified; drawSilence(tw, entry); }
  });
  model.on("answer", () => {
    const {number, id, error} = JSON.parse(model.answer), entry = shown.get(id);
    const wait = ["pending", "hushing"].find((each) => entry?.[each]?.number === number);
    if (wait) settle(entry, wait, error && `Not kept: ${error}`);
  });
  tw.listen("row", rail, ({hovered}) => { if (!hovered) wait(); });
  tw.listen("step-card", rail, step);
  tw.listen("open-card", rail, ({id}) => openCard(id));
  all.setAttribute("aria-pressed", String(!open));
  onlyOpen.setAttribute("aria-pressed", String(open));
  update();
  wait();
  return rail;
}

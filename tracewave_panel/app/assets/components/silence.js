// What a card says and offers of its notices. The menu unfolds in the card itself: nothing cuts it off, it lies over
// nothing and goes along when the card moves.
const OFFERS = [
  {of: "episode", words: () => "Snooze this episode", choices: [["hour", "1 hour"], ["four_hours", "4 hours"], ["until_closed", "Until it closes"]]},
  {of: "kind", words: (card) => `No notices of ${card.kind}`, choices: [["day", "Until tomorrow"], ["until_undone", "Until taken back"]]},
];
const AHEAD = {hour: 3600, four_hours: 14_400, day: 86_400}; // seconds

/* The parts that stay; `act.silence` and `act.undo` ask the server. */
const addSilence = (tw, entry, number, act) => {
  const opener = entry.bell = pressable(tw, "btn sq bell", "", "", "Notices"), menu = entry.menu = tw.element("div", "menu"), hushed = entry.hushed = tw.element("div", "hushed");
  menu.id = `notices-${number}`;
  menu.hidden = true;
  menu.setAttribute("role", "group");
  menu.setAttribute("aria-label", "Notices of this anomaly");
  opener.setAttribute("aria-controls", menu.id);
  opener.setAttribute("aria-expanded", "false");
  let closing = null;
  const close = (entry.closeMenu = (refocus = false) => {
    if (!closing) return;
    closing.abort();
    closing = null;
    menu.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    if (refocus) opener.focus();
  });
  const open = () => {
    closing = new AbortController();
    menu.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    drawMenu(tw, entry);
    menu.scrollIntoView({block: "nearest"});
    const listen = (kind, heard) => window.addEventListener(kind, heard, {capture: true, signal: closing.signal});
    listen("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // it ends nothing else
      close(true);
    });
    // a click, not a press: what is below moves up, and is to be hit where it was
    listen("click", (event) => { if (![menu, opener].some((part) => event.composedPath().includes(part))) close(); });
  };
  opener.addEventListener("click", () => { if (!opener.hasAttribute("aria-disabled")) { if (closing) close(); else open(); } });
  menu.addEventListener("click", (event) => {
    const choice = event.target.closest("button")?.dataset.choice;
    if (!choice) return;
    close(true);
    act.silence(entry, choice);
  });
  hushed.addEventListener("click", (event) => {
    const undo = event.target.closest("button")?.dataset.undo;
    if (undo === undefined || entry.hushing) return;
    opener.focus(); // the button will be gone
    act.undo(entry, undo);
  });
};

const drawMenu = (tw, entry) => {
  const {card, menu} = entry, key = JSON.stringify([entry.notified, card.closed === null, card.kind]);
  if (menu.hidden || menu.dataset.key === key) return;
  menu.dataset.key = key;
  if (!entry.notified) {
    const none = tw.element("p", "", "No notices are sent: no route is set up. How to: ");
    none.append(tw.element("code", "", "docs/notices.md"));
    menu.replaceChildren(none);
    return;
  }
  const offers = OFFERS.filter(({of}) => of === "kind" || card.closed === null);
  menu.replaceChildren(...offers.map(({of, words, choices}) => {
    const group = tw.element("div", of), name = tw.element("p", "", words(card)), row = tw.element("div", "choices");
    name.id = `${menu.id}-${of}`;
    group.setAttribute("role", "group");
    group.setAttribute("aria-labelledby", name.id);
    row.append(...choices.map(([choice, label]) => {
      const button = pressable(tw, "btn", label);
      button.dataset.choice = choice;
      if (AHEAD[choice]) button.title = `Until ${momentWords(tw, Date.now() / 1000 + AHEAD[choice])} UTC`;
      return button;
    }));
    group.append(name, row);
    return group;
  }));
};

const drawSilence = (tw, entry) => {
  const {card, bell: opener, hushed} = entry, mutes = entry.notified ? card.muted : [], name = mutes.length ? "Notices, silenced" : "Notices";
  const key = JSON.stringify(mutes);
  if (hushed.dataset.key !== key) {
    hushed.dataset.key = key;
    hushed.replaceChildren(...mutes.map((mute) => {
      const words = `${mute.words}${mute.until === null && !mute.episode ? "" : ` ${holdsWords(tw, mute)}`}`, told = tw.element("p"), text = tw.element("span", "", words);
      if (mute.by) text.append(" by ", tw.element("bdi", "", mute.by));
      text.title = `Asked for at ${momentWords(tw, mute.at)} UTC`;
      told.append(bell(tw, true), text);
      if (mute.undo) {
        const undo = pressable(tw, "undo", "Undo");
        undo.dataset.undo = mute.id;
        undo.setAttribute("aria-label", `Undo: ${words}`);
        told.append(undo);
      } else text.append("; taken back on the Health page");
      return told;
    }));
    opener.replaceChildren(bell(tw, mutes.length > 0));
  }
  if (!opener.firstChild) opener.append(bell(tw, false));
  opener.setAttribute("aria-label", name);
  opener.classList.toggle("on", mutes.length > 0);
  opener.classList.toggle("pending", entry.hushing !== null);
  allow(opener, entry.hushing ? "Waiting for the server's word" : "");
  if (!entry.hushing) opener.title = name;
  drawMenu(tw, entry);
};

/* The frame around the pages: addresses, navigation, what a link shares, and the keys. */
(() => {
  const tw = window.tracewave;
  const root = document.documentElement;
  const links = () => [...document.querySelectorAll(".nav a")];

  /* Address. Under our own server each page has a path; elsewhere the query names it. */
  const byQuery = root.dataset.routing === "query";
  const KEPT = ["page", "theme", "embed"]; // what the frame itself keeps in the query
  const left = new Map(); // page -> its part of the query, for when somebody comes back

  tw.url = {
    get: (name) => new URLSearchParams(location.search).get(name),
    // `push` makes an entry that Back leads away from
    set(values, push = false) {
      const query = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(values)) {
        if (value === null || value === undefined || value === "") query.delete(name);
        else query.set(name, String(value));
      }
      const words = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
      const address = `${location.pathname}${words ? `?${words}` : ""}`;
      if (push) history.pushState({page: tw.page}, "", address);
      else history.replaceState(history.state, "", address);
    },
  };

  // With a query the page opens at that, else as it was left.
  const addressOf = tw.addressOf = (name, asked) => {
    const link = links().find((each) => each.dataset.go === name);
    const address = new URL(link.href);
    for (const kept of KEPT) {
      const value = tw.url.get(kept);
      if (value !== null && kept !== "page") address.searchParams.set(kept, value);
    }
    for (const [key, value] of new URLSearchParams(asked ?? left.get(name) ?? "")) address.searchParams.set(key, value);
    return address;
  };

  tw.page = root.dataset.page;
  if (tw.url.get("embed")) root.dataset.embed = "true"; // inside a notebook's cell: no navigation, no footer

  const show = (name) => {
    tw.page = name;
    root.dataset.page = name;
    for (const section of document.querySelectorAll("[data-page-section]")) section.hidden = section.dataset.pageSection !== name;
    for (const link of links()) {
      if (link.dataset.go === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const title = links().find((each) => each.dataset.go === name)?.textContent ?? "";
    document.title = `${title} · Tracewave`;
    tw.server?.tell({page: name});
    tw.announce("page", name);
  };

  tw.go = (name, asked) => {
    if (name === tw.page || !links().some((link) => link.dataset.go === name)) return;
    const query = new URLSearchParams(location.search);
    for (const kept of KEPT) query.delete(kept);
    left.set(tw.page, query.toString());
    const address = addressOf(name, asked);
    // A document that was opened at another page has no plots: the Live page is then a page load.
    if (document.querySelector(`[data-page-section="${name}"]`).dataset.built === "false") {
      location.assign(address);
      return;
    }
    history.pushState({page: name}, "", address);
    show(name);
    document.querySelector(`[data-page-section="${name}"]`).focus({preventScroll: true});
  };

  window.addEventListener("popstate", () => {
    const path = location.pathname.split("/").pop();
    const name = (byQuery ? tw.url.get("page") : path) || "live";
    const section = document.querySelector(`[data-page-section="${CSS.escape(name)}"]`);
    if (!section || section.dataset.built === "false") location.reload();
    else show(name);
  });

  /* Keys */
  const typing = (event) => {
    const at = event.composedPath()[0];
    return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName));
  };
  const pressable = (event) => event.composedPath().some((at) => at instanceof HTMLElement && /^(BUTTON|A|SUMMARY)$/.test(at.tagName));
  const keys = () => document.getElementById("keys");
  const act = {
    "?": () => keys().showModal(),
    "[": () => tw.timeline?.step(-1),
    "]": () => tw.timeline?.step(1),
    b: () => tw.timeline?.brushFromCursor(),
    k: () => tw.announce("step-card", -1),
    j: () => tw.announce("step-card", 1),
    ArrowLeft: () => tw.announce("step-card", -1),
    ArrowRight: () => tw.announce("step-card", 1),
    " ": () => tw.timeline?.toggle(),
  };
  const onLive = ["[", "]", "b", "j", "k", "ArrowLeft", "ArrowRight", " "];
  window.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event) || keys().open) return;
    const place = "123456".indexOf(event.key);
    if (place >= 0 && links()[place]) {
      tw.go(links()[place].dataset.go);
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!(key in act) || (onLive.includes(key) && tw.page !== "live")) return;
    if (key === " " && pressable(event)) return; // Space presses the button that has the focus
    event.preventDefault();
    act[key]();
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const link of links())
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        tw.go(link.dataset.go);
      });
    for (const button of document.querySelectorAll("[data-keys]")) button.addEventListener("click", () => keys().showModal());
    show(tw.page);
  }, {once: true});
})();

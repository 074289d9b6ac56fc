/* Knows whether the server still speaks to this page, and brings the page back when it answers again.
   It runs without the server, and judges by this computer's own clock. */
(() => {
  const tw = window.tracewave;
  const own = document.currentScript.src;
  const JITTER = 10_000; // so that a hundred pages do not come back in the same second
  const link = {closed: false, silent: false, since: 0, reloadAt: null};
  Object.defineProperty(link, "lost", {get: () => link.closed || link.silent});
  tw.link = link;

  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given);
      this.addEventListener("open", () => { link.closed = false; link.reloadAt = null; });
      this.addEventListener("close", () => {
        if (!link.lost) link.since = Date.now();
        link.closed = true;
      });
    }
  };

  const answers = async () => {
    try {
      return (await fetch(own, {method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(3000)})).status < 500;
    } catch {
      return false;
    }
  };

  const look = async () => {
    // A server that vanished without closing (a cut cable) shows only by not answering.
    const quiet = performance.now() - tw.rowAt > 5000;
    if (link.closed || quiet) {
      const up = await answers();
      if (!up && !link.lost) link.since = Date.now();
      link.silent = !up;
      if (!up) link.reloadAt = null;
      else if (link.closed) link.reloadAt ??= Date.now() + Math.random() * JITTER;
    } else {
      link.silent = false;
    }
    if (link.reloadAt !== null && Date.now() >= link.reloadAt) location.reload();
    setTimeout(look, 1000);
  };
  setInterval(() => tw.announce("second", null), 1000);
  setTimeout(look, 3000);
})();

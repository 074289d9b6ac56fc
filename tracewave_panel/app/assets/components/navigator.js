// The page's one way to speak to the server. Nothing is told before the page says that it is ready:
// a change that is sent while the document is still on its way is lost.
const SEEN_EVERY = 2000; // milliseconds

export function render({model}) {
  const tw = window.tracewave;
  const nothing = document.createElement("div");
  nothing.hidden = true;
  let told = 0, pending = null;
  const tellSeen = () => {
    pending = null;
    told = performance.now();
    if (tw.row) model.seen = tw.row.end;
  };
  window.addEventListener("tracewave:row", () => {
    pending ??= setTimeout(tellSeen, Math.max(0, told + SEEN_EVERY - performance.now()));
  });
  tw.server = {
    tell: (values) => { for (const [name, value] of Object.entries(values)) model[name] = value; },
    get waiting() { return model.waiting; },
  };
  model.on("waiting", () => tw.announce("waiting", model.waiting));
  setTimeout(() => {
    model.page = tw.page;
    model.ready = true;
    tw.announce("server", null);
  }, 0);
  return nothing;
}

// The page's way to speak to the server. It is told nothing before it says that it is ready: a change that
// is sent while the document is still on its way is lost.
export function render({model}) {
  const tw = window.tracewave;
  const nothing = document.createElement("div");
  nothing.hidden = true;
  tw.server = {
    tell: (values) => {
      if (tw.link.lost) return; // the page will be loaded anew
      for (const [name, value] of Object.entries(values)) model[name] = value;
    },
  };
  setTimeout(() => {
    model.page = tw.page;
    model.ready = true;
    tw.announce("server", null);
  }, 0);
  return nothing;
}

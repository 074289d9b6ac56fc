/* Mouse, finger, wheel and keys over the plots. A drag over the pulse brushes; elsewhere, or with Shift, it pans.
   Ctrl and the wheel zoom; a double click follows again. */
(() => {
  const tw = window.tracewave;
  const glass = document.getElementById("glass");
  if (!glass) return;
  const {timeline} = tw;
  const scrub = document.getElementById("scrub");
  const STILL = 4, NOTCH = 1.0016; // pixels that are no drag yet; zoom for a pixel of the wheel
  let drag = null;

  const across = (event) => (event.clientX - glass.getBoundingClientRect().left) / glass.clientWidth;
  const momentAt = (event) => timeline.from + Math.min(1, Math.max(0, across(event))) * (timeline.until - timeline.from);
  const overPulse = (event) => {
    const box = tw.plots.pulse.getBoundingClientRect();
    return event.clientY >= box.top && event.clientY <= box.bottom;
  };
  const within = (moment) => timeline.brushed !== null && moment >= timeline.brushed.from && moment <= timeline.brushed.until;

  const kindOf = (event) => {
    const edge = event.target.dataset.edge;
    if (edge) return edge;
    if (event.shiftKey || !overPulse(event)) return "pan";
    return within(momentAt(event)) ? "move" : "brush";
  };
  const hint = (event) => { scrub.dataset.kind = drag?.moved ? drag.kind : kindOf(event); };

  const act = {
    brush: (event) => timeline.brush(drag.moment, momentAt(event)),
    from: (event) => timeline.brush(Math.min(momentAt(event), drag.brushed.until - timeline.width), drag.brushed.until),
    until: (event) => timeline.brush(drag.brushed.from, Math.max(momentAt(event), drag.brushed.from + timeline.width)),
    move(event) {
      const {from, until} = drag.brushed, wanted = momentAt(event) - drag.moment;
      const by = Math.min(Math.max(wanted, timeline.first - from), timeline.end - until);
      timeline.brush(from + by, until + by);
    },
    pan(event) {
      const by = (drag.x - event.clientX) / glass.clientWidth * (drag.until - drag.from);
      timeline.show(drag.from + by, drag.until + by);
    },
  };

  glass.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button") || !(timeline.until > timeline.from)) return;
    glass.setPointerCapture(event.pointerId);
    const {from, until, brushed} = timeline;
    drag = {kind: kindOf(event), x: event.clientX, moment: momentAt(event), from, until, brushed, moved: false};
    tw.announce("touch", null);
  });
  // The mouse takes no focus here: arrows go on stepping through anomalies, and move the cursor for who tabbed to it.
  glass.addEventListener("mousedown", (event) => event.preventDefault());
  let frame = 0;
  glass.addEventListener("pointermove", (event) => {
    if (drag && Math.abs(event.clientX - drag.x) > STILL) drag.moved = true;
    hint(event);
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      if (drag?.moved) act[drag.kind](event);
      if (drag?.kind !== "pan" && event.pointerType !== "touch") timeline.point(momentAt(event));
    });
  });
  const release = (event) => {
    if (!drag) return;
    cancelAnimationFrame(frame);
    if (drag.moved && event.type === "pointerup") act[drag.kind](event);
    else if (!drag.moved && event.type === "pointerup") {
      if (!within(drag.moment)) timeline.clearBrush();
      if (event.pointerType === "touch") timeline.point(drag.moment);
    }
    drag = null;
  };
  glass.addEventListener("pointerup", release);
  glass.addEventListener("pointercancel", release);
  glass.addEventListener("pointerleave", (event) => {
    cancelAnimationFrame(frame);
    if (!drag && event.pointerType !== "touch") timeline.point(null);
  });
  glass.addEventListener("dblclick", timeline.follow);
  glass.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !(timeline.until > timeline.from)) return;
    event.preventDefault();
    const by = NOTCH ** (event.deltaMode === 0 ? event.deltaY : event.deltaY * 16), at = across(event), moment = momentAt(event);
    const long = Math.min((timeline.until - timeline.from) * by, 15 * 60_000);
    timeline.show(moment - at * long, moment + (1 - at) * long);
  }, {passive: false});

  const zoom = (by) => {
    const {from, until} = timeline, at = timeline.cursor ?? until;
    timeline.show(at - (at - from) * by, at + (until - at) * by);
  };
  const keys = {
    ArrowLeft: (many) => timeline.step(-many),
    ArrowRight: (many) => timeline.step(many),
    Home: () => timeline.point(timeline.from),
    End: () => timeline.point(timeline.until),
    "+": () => zoom(0.8),
    "-": () => zoom(1.25),
  };
  scrub.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key](event.shiftKey ? 10 : 1);
  });
  window.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !glass.clientWidth || document.querySelector("dialog[open]")) return;
    if (timeline.stopReplay()) return;
    if (timeline.brushed) timeline.clearBrush();
    else timeline.point(null);
  });
})();

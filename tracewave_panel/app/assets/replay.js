/* Shows and brushes an anomaly's stretch of time, and sweeps the cursor through it, from the windows that the page holds. */
(() => {
  const tw = window.tracewave;
  const glass = document.getElementById("glass");
  if (!glass) return;
  const {timeline} = tw;
  const state = document.getElementById("sheet-state");
  const BEFORE = 60_000, AFTER = 10_000, ROOM = 15_000, SHORTEST = 90_000, A_SECOND = 10, SAID = 8000; // windows a second
  let sweep = null, silence;

  const say = (words, lasting = false) => {
    clearTimeout(silence);
    state.textContent = words;
    if (!lasting) silence = setTimeout(() => { state.textContent = ""; }, SAID);
  };
  const held = ({opened}) => {
    if (opened >= timeline.first && opened < timeline.end) return true;
    say(opened < timeline.first ? `Opened at ${tw.clock(opened)}, before the first window held here` : `The windows from ${tw.clock(opened)} are not here yet`);
    return false;
  };
  // An open episode lasts until now.
  const closeOf = ({closed}) => Math.min(closed ?? timeline.end, timeline.end);

  const onCard = (episode) => {
    if (!episode || !(timeline.until > timeline.from)) return;
    stop();
    if (!held(episode)) return;
    say("");
    const closed = closeOf(episode), room = Math.max(ROOM, (closed - episode.opened) / 4, (SHORTEST - closed + episode.opened) / 2);
    timeline.show(episode.opened - room, closed + room);
    timeline.brush(episode.opened, closed);
  };

  const stop = () => {
    if (sweep === null) return false;
    clearInterval(sweep);
    sweep = null;
    say("");
    return true;
  };
  const onReplay = (episode) => {
    stop();
    if (!episode || !held(episode)) return;
    timeline.pause();
    const from = Math.max(episode.opened - BEFORE, timeline.first), until = Math.min(closeOf(episode) + AFTER, timeline.end);
    timeline.show(from, until);
    const starts = timeline.column("start"), last = timeline.indexOf(until - 1);
    const speed = Math.round(A_SECOND * timeline.width / 1000);
    let at = timeline.nearest(from);
    const step = () => {
      if (at > last) { stop(); return; }
      timeline.point(starts[at]);
      say(`Replaying ${tw.clock(starts[at])} ${speed}×`, true);
      at += 1;
    };
    step();
    sweep = setInterval(step, 1000 / A_SECOND);
  };

  timeline.stopReplay = stop;
  window.addEventListener("tracewave:card", ({detail}) => onCard(detail));
  window.addEventListener("tracewave:replay-episode", ({detail}) => onReplay(detail));
  window.addEventListener("tracewave:resume", stop);
  window.addEventListener("tracewave:touch", stop);
})();

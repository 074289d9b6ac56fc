// Looks at a page as a reader would: is text cut, laid over other text, out of its box, jumping, too faint?
// An expression: its value is an object of functions. Open shadow roots are looked into; canvases cannot be.
(() => {
  const parentOf = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
  function* ancestors(element) {
    for (let at = element; at; at = parentOf(at)) yield at;
  }
  function* below(root) {
    for (const child of root.children) {
      yield child;
      if (child.shadowRoot) yield* below(child.shadowRoot);
      yield* below(child);
    }
  }
  const styles = new Map();
  const styleOf = (element) => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element));
    return styles.get(element);
  };
  const inside = (element, selectors) => {
    for (const at of ancestors(element)) if (selectors.some((each) => at.matches(each))) return true;
    return false;
  };
  const naming = (element) => {
    const own = (at) => at.localName + (at.id && !/^p?\d/.test(at.id) ? `#${at.id}` : "")
      + [...at.classList].filter((each) => !each.startsWith("bk-")).slice(0, 2).map((each) => `.${CSS.escape(each)}`).join("")
      + (at.dataset?.page ? `[data-page=${at.dataset.page}]` : "");
    const names = [];
    for (const at of ancestors(element)) {
      if (at === document.body || names.length === 4) break;
      if (at.localName === "div" && at.classList.length === 0 && names.length) continue;
      names.unshift(own(at));
    }
    return names.join(" ");
  };
  const words = (text) => text.replace(/\s+/g, " ").trim();
  const short = (text) => (words(text).length > 60 ? `${words(text).slice(0, 59)}…` : words(text));

  // A line box is taller than its letters: what no letter reaches may touch.
  const letters = ({left, right, top, bottom}) => ({left, right, top: top + 0.16 * (bottom - top), bottom: bottom - 0.06 * (bottom - top)});
  const meet = (one, other) => ({
    left: Math.max(one.left, other.left), right: Math.min(one.right, other.right),
    top: Math.max(one.top, other.top), bottom: Math.min(one.bottom, other.bottom),
  });
  const isEmpty = ({left, right, top, bottom}) => right - left < 0.5 || bottom - top < 0.5;

  const shown = (element) => {
    for (const at of ancestors(element)) {
      const style = styleOf(at);
      if (Number(style.opacity) === 0 || style.clipPath === "inset(50%)" || style.clip === "rect(0px, 0px, 0px, 0px)") return false;
      if (at.localName === "details" && !at.open) {
        const summary = at.querySelector(":scope > summary");
        if (!summary || ![...ancestors(element)].includes(summary)) return false;
      }
    }
    return styleOf(element).visibility === "visible";
  };
  // The boxes that clip an element, nearest first; an absolutely placed one slips out of boxes that do not hold it.
  function* clips(element) {
    let place = "static";
    for (const at of ancestors(element)) {
      const style = styleOf(at);
      const holds = style.transform !== "none" || /paint|layout|strict|content/.test(style.contain);
      if (at !== element && !holds && (place === "fixed" || (place === "absolute" && style.position === "static"))) continue;
      place = style.position;
      const {overflowX: x, overflowY: y} = style;
      if (at === document.documentElement || at === document.body || ["inline", "contents"].includes(style.display) || (x === "visible" && y === "visible")) continue;
      const box = at.getBoundingClientRect();
      yield {at, style, x, y, box: {
        left: x === "visible" ? -Infinity : box.left, right: x === "visible" ? Infinity : box.right,
        top: y === "visible" ? -Infinity : box.top, bottom: y === "visible" ? Infinity : box.bottom,
      }};
    }
  }
  const SCROLLS = ["auto", "scroll"];
  // A browser shows the nearest title above what is pointed at; a name for ears must be the text's own.
  const told = (element, until, text) => {
    const whole = words(text);
    let own = true;
    for (const at of ancestors(element)) {
      if (own && words(at.getAttribute("aria-label") ?? "").includes(whole)) return true;
      if (at.title) return words(at.title).includes(whole);
      own = own && at !== until;
    }
    return false;
  };

  // Every line of text that is on the page: its box, what of it can be seen, and what cuts it.
  const runs = () => {
    styles.clear();
    const found = [];
    const range = document.createRange();
    for (const element of [...below(document.body)]) {
      if (["script", "style", "noscript", "template", "option"].includes(element.localName)) continue;
      for (const node of element.childNodes) {
        if (node.nodeType !== Node.TEXT_NODE || words(node.data) === "") continue;
        range.selectNodeContents(node);
        const rectangles = [...range.getClientRects()].filter((each) => each.width > 0.5 && each.height > 0.5);
        if (rectangles.length === 0 || !shown(element)) continue;
        const clipping = [...clips(element)];
        for (const rectangle of rectangles) {
          let seen = letters(rectangle), cut = null;
          for (const {at, style, x, y, box} of clipping) {
            const left = meet(seen, box);
            const over = {x: Math.max(box.left - seen.left, seen.right - box.right), y: Math.max(box.top - seen.top, seen.bottom - box.bottom)};
            if (!cut && over.x > 1 && !SCROLLS.includes(x)) {
              const meant = style.textOverflow === "ellipsis" || style.webkitLineClamp !== "none";
              cut = {by: at, meant, way: "sideways", over: over.x};
            } else if (!cut && over.y > 1 && !SCROLLS.includes(y)) {
              cut = {by: at, meant: style.webkitLineClamp !== "none", way: isEmpty(left) ? "wholly" : "at its top or bottom", over: over.y};
            }
            seen = left;
            if (isEmpty(seen)) break;
          }
          found.push({element, text: node.data, rectangle, seen: isEmpty(seen) ? null : seen, cut});
        }
      }
    }
    return found;
  };

  const isSkipLink = ({element, rectangle}) => rectangle.right < 0 && element.closest("a,button") !== null;
  const cutText = (allowed) => {
    const said = new Map();
    for (const run of runs()) {
      const {element, text, rectangle, seen, cut} = run;
      if (inside(element, allowed) || isSkipLink(run)) continue;
      const say = (what) => said.set(`${naming(element)} ${what.split(" by ")[0]}`, `${naming(element)}: “${short(text)}” ${what}`);
      if (cut && !cut.meant) say(`is cut ${cut.way} by ${cut.over.toFixed(0)} px in ${naming(cut.by)}`);
      else if (cut && !told(element, cut.by, text)) say(`ends in an ellipsis and the whole is told nowhere (${naming(cut.by)})`);
      else if (seen && (seen.left < -1 || seen.right > document.documentElement.clientWidth + 1)) say(`lies ${Math.max(-seen.left, seen.right - document.documentElement.clientWidth).toFixed(0)} px outside the page`);
      else if (seen && !cut) {
        const painted = [...ancestors(element)].find((at) => isPainted(styleOf(at)));
        if (!painted || painted === document.body || painted === document.documentElement || styleOf(painted).display === "inline") continue;
        const box = painted.getBoundingClientRect(), spoken = letters(rectangle);
        const held = [...ancestors(element)].filter((at) => at !== painted).map(styleOf);
        const beside = held.some(({overflowX}) => SCROLLS.includes(overflowX)) ? 0 : Math.max(spoken.right - box.right, box.left - spoken.left);
        const below = held.some(({overflowY}) => SCROLLS.includes(overflowY)) ? 0 : Math.max(spoken.bottom - box.bottom, box.top - spoken.top);
        const over = Math.max(beside, below);
        if (over > 1 && styleOf(element).position !== "absolute") say(`runs ${over.toFixed(0)} px out of its box ${naming(painted)}`);
      }
    }
    for (const field of below(document.body))
      if (field.localName === "input" && ["text", "search", "number", "url", ""].includes(field.type) && field.scrollWidth > field.clientWidth + 1 && !field.title && !inside(field, allowed))
        said.set(naming(field), `${naming(field)}: “${short(field.value)}” is cut in its field`);
    return [...said.values()];
  };
  const isPainted = (style) =>
    alphaOf(style.backgroundColor) > 0 || style.backgroundImage !== "none"
    || ["Top", "Right", "Bottom", "Left"].every((side) => parseFloat(style[`border${side}Width`]) > 0);

  const layerOf = (element) => {
    for (const at of ancestors(element)) {
      const style = styleOf(at);
      if (at.localName === "dialog" || (["absolute", "fixed", "sticky"].includes(style.position) && alphaOf(style.backgroundColor) > 0.95)) return at;
    }
    return null;
  };
  const overlaps = (allowed) => {
    const seen = runs().filter((run) => run.seen && !inside(run.element, allowed)).sort((one, other) => one.seen.top - other.seen.top);
    const said = new Map();
    seen.forEach((run, place) => {
      for (let next = place + 1; next < seen.length && seen[next].seen.top < run.seen.bottom - 1; next++) {
        const other = seen[next];
        if (other.element === run.element) continue;
        const both = meet(run.seen, other.seen), wide = both.right - both.left, high = both.bottom - both.top;
        if (wide <= 1 || high <= 1) continue;
        const layers = [layerOf(run.element), layerOf(other.element)];
        if (layers[0] !== layers[1]) continue;
        said.set(`${naming(run.element)} ${naming(other.element)}`, `${naming(run.element)}: “${short(run.text)}” lies over “${short(other.text)}” of ${naming(other.element)} (${wide.toFixed(0)} x ${high.toFixed(0)} px)`);
      }
    });
    return [...said.values()];
  };

  const sideways = (allowed) => {
    const said = [], width = document.documentElement.clientWidth, whole = document.documentElement.scrollWidth;
    if (whole > width) said.push(`html: the page scrolls sideways, ${whole} px in ${width}`);
    for (const element of below(document.body)) {
      if (inside(element, allowed) || element.closest("svg") || !element.checkVisibility?.()) continue;
      const style = getComputedStyle(element);
      if (SCROLLS.includes(style.overflowX) && element.scrollWidth > element.clientWidth + 1)
        said.push(`${naming(element)}: scrolls sideways inside, ${element.scrollWidth} px in ${element.clientWidth}`);
      const box = element.getBoundingClientRect();
      if (whole > width && box.right > width + 1 && box.width > 0 && style.position !== "fixed")
        said.push(`${naming(element)}: reaches ${(box.right - width).toFixed(0)} px beyond the page`);
    }
    return said.slice(0, 12);
  };

  /* Colour: any CSS colour becomes red, green, blue and alpha by painting it. */
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const painted = new Map();
  const rgba = (colour) => {
    if (!painted.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = "#0000";
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
      painted.set(colour, [red, green, blue, alpha / 255]);
    }
    return painted.get(colour);
  };
  const alphaOf = (colour) => rgba(colour)[3];
  const over = (top, ground) => [0, 1, 2].map((part) => top[part] * top[3] + ground[part] * (1 - top[3])).concat(1);
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, other) => {
    const [dim, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dim + 0.05);
  };
  const STOP = /(?:rgba?|hsla?|oklab|oklch|color)\([^()]*\)|#[0-9a-f]{3,8}\b/gi;
  // All grounds a text may stand on: a gradient is each of its colours.
  const grounds = (element) => {
    const layers = [];
    for (const at of ancestors(element)) {
      const style = styleOf(at);
      if (style.backgroundImage.includes("url(")) return null;
      const image = style.backgroundImage.includes("gradient") && styleOf(at).backgroundSize === "auto" ? style.backgroundImage.match(STOP) ?? [] : [];
      layers.push({colour: rgba(style.backgroundColor), stops: image.map(rgba)});
      if (rgba(style.backgroundColor)[3] === 1) break;
    }
    let made = [[255, 255, 255, 1]];
    for (const {colour, stops} of layers.reverse()) {
      made = made.map((ground) => over(colour, ground));
      if (stops.length) made = made.flatMap((ground) => stops.map((stop) => over(stop, ground)));
    }
    return made;
  };
  const faint = (allowed) => {
    const said = new Map();
    for (const {element, text, seen} of runs()) {
      if (!seen || inside(element, [":disabled", "[aria-disabled=true]", ...allowed])) continue;
      const under = grounds(element), style = styleOf(element);
      if (under === null) continue;
      const ink = [...rgba(style.color)];
      for (const at of ancestors(element)) ink[3] *= Number(styleOf(at).opacity);
      const least = Math.min(...under.map((ground) => ratio(over(ink, ground), ground)));
      const size = parseFloat(style.fontSize), needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      if (least < needed - 0.05) said.set(naming(element), `${naming(element)}: “${short(text)}” has a contrast of ${least.toFixed(2)}, needs ${needed}`);
    }
    return [...said.values()];
  };

  /* Jumping: what stands still in words must stand still on the page. */
  let before = null;
  const shape = (text) => words(text).replace(/\d/g, "0");
  const places = (allowed) => {
    const kept = new Map();
    for (const {element, text, rectangle} of runs()) {
      if (inside(element, allowed)) continue;
      const first = kept.get(element);
      const {left, top, right} = rectangle;
      if (first) first.text += ` ${text}`;
      else kept.set(element, {text, left: left + scrollX, top: top + scrollY, wide: right - left});
    }
    return kept;
  };
  const firstLook = (allowed) => { before = places(allowed); return before.size; };
  const jumps = (allowed) => {
    const said = [], after = places(allowed);
    let changed = 0;
    const reshaped = new Set();
    for (const [element, now] of after) {
      const then = before.get(element);
      if (then && then.text !== now.text) changed++;
      // What got another number of digits, or is new, may move its own and its neighbours' lines.
      if (!then || shape(then.text) !== shape(now.text)) for (const at of [...ancestors(element)].slice(0, 3)) reshaped.add(at);
    }
    for (const [element, now] of after) {
      const then = before.get(element);
      if (!then || [...ancestors(element)].slice(0, 3).some((at) => reshaped.has(at))) continue;
      const moved = Math.max(Math.abs(now.left - then.left), Math.abs(now.top - then.top));
      const grown = Math.abs(now.wide - then.wide);
      if (moved > 0.6) said.push(`${naming(element)}: “${short(now.text)}” moved by ${moved.toFixed(1)} px`);
      else if (grown > 0.6) said.push(`${naming(element)}: “${short(then.text)}” became “${short(now.text)}” and ${grown.toFixed(1)} px wider or narrower`);
    }
    return {changed, said};
  };

  return {cutText, overlaps, sideways, faint, firstLook, jumps};
})()

// What charts drawn as SVG share.
const SPACE = "http://www.w3.org/2000/svg";
const shape = (parent, name, attributes, text) => {
  const made = parent.appendChild(document.createElementNS(SPACE, name));
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};
const canvas = (width, height, label) => {
  const svg = document.createElementNS(SPACE, "svg");
  for (const [key, value] of Object.entries({width, height, role: "img", "aria-label": label})) svg.setAttribute(key, value);
  return svg;
};
const known = Number.isFinite;

// A line is broken where nothing is known, and where the clock jumped.
const path = (xs, ys) => {
  let drawn = "", pen = false, alone = "";
  xs.forEach((x, place) => {
    if (!known(ys[place])) { pen = false; return; }
    const next = known(ys[place + 1]);
    drawn += `${pen ? "L" : "M"}${x.toFixed(1)} ${ys[place].toFixed(1)}`;
    if (!pen && !next) alone += `M${x.toFixed(1)} ${ys[place].toFixed(1)}h.1`;
    pen = true;
  });
  return drawn + alone;
};

// Steps of 1, 2 and 5: an axis changes seldom, and then at once.
const step = (most, parts) => {
  const rough = most / parts, ten = 10 ** Math.floor(Math.log10(rough));
  return ten * [1, 2, 5, 10].find((each) => each * ten >= rough * 0.999);
};
const plainTicks = (most, parts = 4) => {
  const size = step(most, parts), ticks = [];
  for (let place = 0; place * size <= most * 1.0001; place++) ticks.push(+(place * size).toPrecision(6));
  return ticks;
};

// Notices as the cards and the Health page say them: the bell, and how long a mute holds.
const BELL = "M6 1.3A3.1 3.1 0 0 0 2.9 4.4C2.9 6.9 1.7 7.6 1.7 8.5H10.3C10.3 7.6 9.1 6.9 9.1 4.4A3.1 3.1 0 0 0 6 1.3ZM4.8 10.4A1.3 1.3 0 0 0 7.2 10.4";
const inLine = (d) => ({d, stroke: "currentColor", "stroke-width": 1.2, "stroke-linecap": "round", "stroke-linejoin": "round"});
const bell = (tw, muted, size = 12) => tw.drawing(size, 12, inLine(BELL), ...(muted ? [inLine("M1.4 1.4L10.6 10.8")] : []));

// A time of day in UTC, as everywhere on the page; with its day where that is another one.
const momentWords = (tw, seconds) => {
  const time = tw.clock(1000 * seconds).slice(0, 5), days = Math.floor(seconds / 86_400) - Math.floor(Date.now() / 86_400_000);
  if (days === 0) return time;
  const near = Math.abs(days) < 7, day = near ? {weekday: "short"} : {day: "numeric", month: "short"};
  return `${new Date(1000 * seconds).toLocaleDateString("en-GB", {timeZone: "UTC", ...day})} ${time}`;
};
const holdsWords = (tw, mute) => {
  if (mute.until !== null) return `until ${momentWords(tw, mute.until)}`;
  return mute.episode ? "until it closes" : "until taken back";
};

// Figures and times, as people read them. What is not known is a dash.

const DASH = "–";
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const MOMENT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const HOUR = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });

const known = (format) => (value) => (value === null || value === undefined ? DASH : format(value));

export const count = known((value) => WHOLE.format(value));
export const short = known((value) => (Math.abs(value) < 10_000 ? WHOLE.format(value) : SHORT.format(value)));
export const percent = known((value) => PERCENT.format(value));
export const dollars = known((value) => `$${value.toFixed(value === 0 || value >= 1 ? 2 : value >= 0.0001 ? 4 : 6)}`);
export const duration = known((ms) => {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
});
export const moment = known((text) => MOMENT.format(new Date(text)));
export const hour = known((text) => HOUR.format(new Date(text)));
export const day = known((text) => DAY.format(new Date(text)));
export const text = known(String);

const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"], [12, "month"], [Infinity, "year"]];
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago, or in how long: "5 minutes ago". */
export const ago = known((text) => {
  let amount = (new Date(text) - Date.now()) / 1000;
  if (Math.abs(amount) < 5) return "just now";
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) return AGO.format(Math.round(amount), unit);
    amount /= size;
  }
  return DASH;
});

// The page's data: spans as columns (their meaning is in page.py), and what is worked out from them once.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SPANS = DATA.spans;
const TEXTS = DATA.texts;
const ERROR = 2;
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];

const TRACES = DATA.traces.map(([id, start, duration, first, count, root], number) => {
  const services = new Set();
  let errors = 0;
  for (let i = first; i < first + count; i++) {
    services.add(SPANS.service[i]);
    errors += SPANS.status[i] === ERROR;
  }
  return { number, id, start, duration, first, count, root, services, errors };
});

// The children of each span of a trace, by place in SPANS, and the roots; spans come in the order of their starts.
function treeOf(trace) {
  const children = new Map();
  const roots = [];
  for (let i = trace.first; i < trace.first + trace.count; i++) {
    const parent = SPANS.parent[i];
    if (parent < 0) roots.push(i);
    else if (children.has(trace.first + parent)) children.get(trace.first + parent).push(i);
    else children.set(trace.first + parent, [i]);
  }
  return { children, roots };
}

function serviceName(i) {
  return TEXTS[SPANS.service[i]] || "(no service)";
}

function spanName(i) {
  return TEXTS[SPANS.name[i]] || "(no name)";
}

// Hues go around the circle but for red, which is for errors.
const HUES = new Map();
for (const service of SPANS.service) {
  if (!HUES.has(service)) HUES.set(service, 30 + ((HUES.size * 137.5 + 185) % 300));
}

function percentile(sorted, percent) {
  return sorted[Math.max(Math.ceil((sorted.length * percent) / 100) - 1, 0)];
}

function durationText(ns) {
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
  if (ns >= 6e10) {
    const seconds = Math.floor(ns / 1e9);
    const minutes = Math.floor(seconds / 60);
    if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return `${minutes} min ${seconds % 60} s`;
  }
  for (const [size, unit] of units) {
    if (ns >= size) return `${Number((ns / size).toPrecision(3))} ${unit}`;
  }
  return ns ? `${ns} ns` : "0";
}

function countText(n, what) {
  return `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
}

function timeText(ms) {
  return ms ? new Date(ms).toISOString().replace("T", " ").replace("Z", "") : "no time";
}

// Which traces are shown. All conditions hold for one and the same span, those of a trace's duration aside.
const state = { query: "", service: -1, onlyErrors: false, range: null, sort: "start", trace: null, found: [] };

// A test of a span for a word: text anywhere in its names, message, attribute keys and values; key=value; a trace id.
function wordTest(word) {
  const [key, ...rest] = word.split("=");
  if (rest.length && key) return pairTest(key, rest.join("="));
  const holds = textsWith((text) => text.includes(word));
  const anyOf = (list) => list && list.some((text) => holds[text]);
  const resources = DATA.resources.map(anyOf);
  return (i) =>
    holds[SPANS.name[i]] || holds[SPANS.service[i]] || holds[SPANS.message[i]] || anyOf(SPANS.attributes[i]) ||
    resources[SPANS.resource[i]] || anyOf(eventTexts(i)) || SPANS.id[i].startsWith(word);
}

function pairTest(key, value) {
  const isKey = textsWith((text) => text === key);
  const isValue = textsWith((text) => text.includes(value));
  const test = (list) => list && list.some((text, n) => n % 2 === 0 && isKey[text] && isValue[list[n + 1]]);
  const resources = DATA.resources.map(test);
  return (i) => test(SPANS.attributes[i]) || resources[SPANS.resource[i]];
}

let lowerTexts = null;
function textsWith(test) {
  lowerTexts ||= TEXTS.map((text) => text.toLowerCase());
  return lowerTexts.map(test);
}

function eventTexts(i) {
  return SPANS.events[i] ? SPANS.events[i].flatMap(([, name, attributes]) => [name, ...attributes]) : null;
}

function spanTest() {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean).map((word) => ({ word, test: wordTest(word) }));
  const service = state.service;
  if (!words.length && service < 0 && !state.onlyErrors) return null;
  return (i, trace) =>
    (service < 0 || SPANS.service[i] === service) &&
    (!state.onlyErrors || SPANS.status[i] === ERROR) &&
    words.every(({ word, test }) => test(i) || trace.id.startsWith(word));
}

const ORDERS = {
  start: (a, b) => a.start - b.start || a.number - b.number,
  newest: (a, b) => b.start - a.start || a.number - b.number,
  duration: (a, b) => b.duration - a.duration,
  spans: (a, b) => b.count - a.count,
  errors: (a, b) => b.errors - a.errors || b.duration - a.duration,
};

// Fills state.found, and state.unranged: the same before the range of durations.
function search() {
  const test = spanTest();
  state.test = test;
  state.unranged = TRACES.filter((trace) => !test || spanIn(trace, test));
  const range = state.range;
  const within = (trace) => !range || (trace.duration >= range[0] && trace.duration < range[1]);
  state.found = state.unranged.filter(within).sort(ORDERS[state.sort]);
}

function spanIn(trace, test) {
  for (let i = trace.first; i < trace.first + trace.count; i++) if (test(i, trace)) return true;
  return false;
}

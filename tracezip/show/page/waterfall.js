// One trace: rows of spans, repeated siblings folded, bars along its time, and the details of a span.
const FOLD_FROM = 5;

class Waterfall {
  constructor() {
    this.rows = new Rows(byId("waterfall"), 24, (n) => this.row(n));
    this.closed = new Set();
    this.unfolded = new Set();
    this.chosen = -1;
    byId("waterfall").addEventListener("keydown", (event) => this.key(event));
  }

  show(trace) {
    this.trace = trace;
    this.tree = treeOf(trace);
    this.closed.clear();
    this.unfolded.clear();
    this.chosen = -1;
    byId("details").hidden = true;
    byId("waterfall").scrollTop = 0;
    this.head();
    this.layOut();
  }

  head() {
    const { id, start, duration, count, errors, services, first } = this.trace;
    const flawed = new Map();
    for (let i = first; i < first + count; i++) {
      DATA.flaws.forEach(([bit, , many]) => SPANS.flaws[i] & bit && flawed.set(many, (flawed.get(many) || 0) + 1));
    }
    byId("summary").replaceChildren(
      make("b", {}, `${serviceName(this.trace.root)} ${spanName(this.trace.root)}`),
      make("code", {}, id || "(no id)"), make("span", {}, durationText(duration)), make("span", {}, countText(count, "span")),
      make("span", { class: errors ? "bad" : "faint" }, countText(errors, "error")), make("span", {}, countText(services.size, "service")),
      make("span", { class: "faint" }, `${timeText(start)} UTC`),
      ...[...flawed].map(([many, n]) => make("span", { class: "faint" }, `⚠ ${countText(n, "span")} ${many}`)));
    byId("axis").replaceChildren(...[0, 1, 2, 3, 4].map((n) => make("span", { style: { left: `${n * 20}%` } }, durationText(Math.round((duration * n) / 5)))));
  }

  // this.shown: { members, depth, key, hasMore, isOpen }, from top to bottom.
  layOut() {
    this.shown = [];
    const waiting = this.siblings(this.tree.roots, 0);
    while (waiting.length) {
      const row = waiting.pop();
      const isFolded = row.members.length > 1;
      const children = isFolded ? [] : this.tree.children.get(row.members[0]) || [];
      row.hasMore = isFolded || children.length > 0;
      row.isOpen = isFolded ? this.unfolded.has(row.key) : !this.closed.has(row.key);
      this.shown.push(row);
      if (!row.isOpen) continue;
      const below = isFolded ? this.singles(row.members, row.depth + 1) : this.siblings(children, row.depth + 1);
      for (const one of below) waiting.push(one);
    }
    this.rows.show(this.shown.length);
  }

  singles(spans, depth) {
    return spans.map((i) => ({ members: [i], depth, key: i })).reverse();
  }

  // Rows in reverse, to be popped from the end; siblings of one service, name, kind and outcome as one.
  siblings(spans, depth) {
    if (spans.length < FOLD_FROM) return this.singles(spans, depth);
    const groups = new Map();
    for (const i of spans) {
      const key = `${SPANS.service[i]},${SPANS.name[i]},${SPANS.kind[i]},${SPANS.status[i] === ERROR}`;
      if (groups.has(key)) groups.get(key).push(i);
      else groups.set(key, [i]);
    }
    const rows = [];
    for (const members of groups.values()) {
      if (members.length >= FOLD_FROM) rows.push({ members, depth, key: `x${members[0]}` });
      else rows.push(...this.singles(members, depth));
    }
    return rows.sort((a, b) => b.members[0] - a.members[0]);
  }

  row(n) {
    const row = this.shown[n];
    const i = row.members[0];
    const isFolded = row.members.length > 1;
    const failed = SPANS.status[i] === ERROR;
    if (row.test !== state.test) [row.test, row.isMatch] = [state.test, state.test && row.members.some((i) => state.test(i, this.trace))];
    const toggle = make("button", { class: "toggle", tabindex: -1, onclick: (event) => { event.stopPropagation(); this.toggle(row); } }, row.hasMore ? (row.isOpen ? "▾" : "▸") : "");
    const label = make("div", { class: "label", style: { paddingLeft: `${8 + Math.min(row.depth, 40) * 10}px` } }, toggle,
      isFolded ? make("span", { class: "fold" }, `× ${row.members.length.toLocaleString("en")}`) : undefined,
      make("span", { class: "dot", hue: HUES.get(SPANS.service[i]) }),
      make("span", { class: "text", title: `${serviceName(i)} ${spanName(i)}` }, failed ? make("span", { class: "bad" }, "✗ ") : "", this.isOfParent(i) ? "" : make("span", { class: "faint" }, `${serviceName(i)} `), spanName(i)),
      make("span", { class: "took" }, isFolded ? (row.typical ||= this.typical(row.members)) : durationText(SPANS.duration[i])));
    const classes = `row ${this.chosen === row.key ? "chosen" : ""} ${row.isMatch ? "match" : ""}`;
    return make("div", { class: classes, onclick: () => this.choose(row) }, label, this.bar(row, failed));
  }

  // Whether the parent's row has said the service already.
  isOfParent(i) {
    return SPANS.parent[i] >= 0 && SPANS.service[this.trace.first + SPANS.parent[i]] === SPANS.service[i];
  }

  typical(members) {
    const durations = members.map((i) => SPANS.duration[i]).sort((a, b) => a - b);
    return `p50 ${durationText(percentile(durations, 50))}, p99 ${durationText(percentile(durations, 99))}`;
  }

  // Light where it runs, dark where the trace waits for its own work (the critical path).
  bar(row, failed) {
    const total = Math.max(this.trace.duration, 1);
    const box = make("div", { class: `bar ${failed ? "failed" : ""}`, hue: HUES.get(SPANS.service[row.members[0]]) });
    const part = (name, start, length) =>
      box.append(make("i", { class: name, style: { left: `min(${(100 * start) / total}%, 100% - 2px)`, width: `${(100 * length) / total}%` } }));
    row.parts ||= joined(row.members.map((i) => [SPANS.start[i], SPANS.start[i] + SPANS.duration[i]]), total / 1000);
    row.own ||= joined(row.members.flatMap(ownParts), total / 1000);
    for (const [start, end] of row.parts) part("span", start, end - start);
    for (const [start, end] of row.own) part("own", start, end - start);
    return box;
  }

  toggle(row) {
    const set = row.members.length > 1 ? this.unfolded : this.closed;
    if (!set.delete(row.key)) set.add(row.key);
    this.layOut();
  }

  choose(row) {
    if (row.members.length > 1) return this.toggle(row);
    this.chosen = row.key;
    showDetails(this.trace, row.members[0], () => { this.chosen = -1; this.rows.update(); });
    this.rows.update();
  }

  key(event) {
    const at = this.shown.findIndex((row) => row.key === this.chosen);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    for (let n = at + step; n >= 0 && n < this.shown.length; n += step) {
      if (this.shown[n].members.length > 1) continue;
      this.choose(this.shown[n]);
      return this.rows.reveal(n);
    }
  }
}

// Stretches of time, [start, end] each, as few in order: gaps that are too short to be seen are closed.
function joined(parts, gap) {
  const fewer = [];
  for (const [start, end] of parts.sort((a, b) => a[0] - b[0])) {
    const last = fewer[fewer.length - 1];
    if (last && start <= last[1] + gap) last[1] = Math.max(last[1], end);
    else fewer.push([start, end]);
  }
  return fewer;
}

// When a span works on the critical path itself.
function ownParts(i) {
  const own = SPANS.own[i] || [];
  return Array.from({ length: own.length / 2 }, (_, n) => [own[2 * n], own[2 * n] + own[2 * n + 1]]);
}

function showDetails(trace, i, closed) {
  const box = byId("details");
  const facts = [["service", serviceName(i)], ["kind", KINDS[SPANS.kind[i]] || String(SPANS.kind[i])], ["starts after", durationText(SPANS.start[i])],
    ["takes", durationText(SPANS.duration[i])], ["own critical path", durationText(ownTime(i))], ["span id", SPANS.id[i]]];
  const flaws = DATA.flaws.filter(([bit]) => SPANS.flaws[i] & bit).map(([, one]) => one);
  if (flaws.length) facts.push(["odd", flaws.join(", ")]);
  const message = TEXTS[SPANS.message[i]];
  const failed = SPANS.status[i] === ERROR;
  const close = () => { box.hidden = true; closed(); };
  box.hidden = false;
  box.replaceChildren(make("button", { class: "close", "aria-label": "Close", onclick: close }, "×"), make("h3", {}, spanName(i)),
    failed || message ? make("div", { class: failed ? "message" : "faint" }, message || "failed, without a message") : "",
    pairs(facts), ...part("attributes", SPANS.attributes[i]), ...eventParts(i), ...part("resource", DATA.resources[SPANS.resource[i]]));
  box.scrollTop = 0;
}

function ownTime(i) {
  return ownParts(i).reduce((sum, [start, end]) => sum + end - start, 0);
}

function part(title, flat) {
  return flat && flat.length ? [make("h4", {}, title), pairs(pairsOf(flat))] : [];
}

function eventParts(i) {
  return (SPANS.events[i] || []).flatMap(([after, name, attributes]) => [
    make("h4", {}, "event"), pairs([[`after ${durationText(Math.max(after, 0))}`, TEXTS[name]], ...pairsOf(attributes)])]);
}

function pairsOf(flat) {
  return Array.from({ length: flat.length / 2 }, (_, n) => [TEXTS[flat[2 * n]], TEXTS[flat[2 * n + 1]]]);
}

function pairs(list) {
  return make("dl", {}, ...list.flatMap(([key, value]) => [make("dt", {}, key), make("dd", { class: "value" }, value)]));
}

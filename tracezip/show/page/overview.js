// The histogram, the service map and the table of operations, of the traces that are found.
const N_BUCKETS_PER_TEN = 4;

function drawHistogram(box, traces, choose) {
  const durations = traces.map((trace) => trace.duration).sort((a, b) => a - b);
  if (!durations.length) return box.replaceChildren(make("div", { class: "empty" }, "No traces."));
  const shortest = durations.find((ns) => ns > 0) || 1; // those of no length are counted with it
  const bucketOf = (ns) => Math.floor(Math.log10(Math.max(ns, shortest)) * N_BUCKETS_PER_TEN + 1e-9);
  const edge = (bucket) => 10 ** (bucket / N_BUCKETS_PER_TEN);
  const low = bucketOf(durations[0]);
  const high = Math.max(bucketOf(durations[durations.length - 1]), low + 3);
  const buckets = Array.from({ length: high - low + 1 }, () => ({ ok: 0, failed: 0 }));
  for (const trace of traces) buckets[bucketOf(trace.duration) - low][trace.errors ? "failed" : "ok"]++;
  const most = Math.max(...buckets.map(({ ok, failed }) => ok + failed));
  const width = Math.max(box.clientWidth - 40, 300), height = 150, top = 18, base = height - 20;
  const step = Math.min(width / buckets.length, 60);
  const y = (n) => (n / most) * (base - top);
  const bars = buckets.map(({ ok, failed }, n) => {
    const [from, to] = [n === 0 ? 0 : edge(n + low), edge(n + low + 1)];
    const chosen = state.range && state.range[0] === from;
    const label = `${durationText(Math.round(from))} to ${durationText(Math.round(to))}: ${countText(ok + failed, "trace")}, ${failed} with errors`;
    return draw("g", { class: `bucket ${chosen ? "chosen" : ""}`, onclick: () => choose(chosen ? null : [from, to]) },
      draw("title", {}, label),
      draw("rect", { class: "hit", x: n * step, y: 0, width: step, height: base }),
      draw("rect", { class: "ok", x: n * step + 1, y: base - y(ok), width: step - 2, height: y(ok), rx: 2 }),
      draw("rect", { class: "failed", x: n * step + 1, y: base - y(ok + failed), width: step - 2, height: y(failed), rx: 2 }),
      draw("text", { class: "faint", x: n * step + step / 2, y: base - y(ok + failed) - 3, "text-anchor": "middle" }, ok + failed || ""));
  });
  const every = Math.ceil(62 / step);
  const ticks = buckets.map((_, n) => n).filter((n) => n % every === 0).map((n) =>
    draw("text", { class: "faint", x: n * step, y: height - 5 }, n ? durationText(Math.round(edge(n + low))) : "0"));
  const line = draw("line", { class: "base", x1: 0, x2: step * buckets.length, y1: base, y2: base });
  box.replaceChildren(
    draw("svg", { width: step * buckets.length + 40, height, role: "img", "aria-label": "Latency histogram" }, ...bars, line, ...ticks),
    make("div", { class: "faint" }, [50, 90, 99].map((p) => `p${p} ${durationText(percentile(durations, p))}`).join(" · ")));
}

// Calls between services: parent and child of different services. Edges by "from,to".
function callsOf(traces) {
  const nodes = new Map(), edges = new Map();
  for (const trace of traces) {
    for (let i = trace.first; i < trace.first + trace.count; i++) {
      const service = SPANS.service[i], failed = SPANS.status[i] === ERROR;
      tally(nodes, service, { service }, failed);
      const parent = SPANS.parent[i] < 0 ? service : SPANS.service[trace.first + SPANS.parent[i]];
      if (parent !== service) tally(edges, `${parent},${service}`, { from: parent, to: service }, failed);
    }
  }
  return { nodes, edges };
}

function tally(map, key, start, failed) {
  if (!map.has(key)) map.set(key, { ...start, count: 0, errors: 0 });
  map.get(key).count++;
  map.get(key).errors += failed;
}

// The column of each service: one more than that of its callers, as far as calls do not go in a circle.
function columnsOf(nodes, edges) {
  const columns = new Map([...nodes.keys()].map((service) => [service, 0]));
  const callers = new Map([...nodes.keys()].map((service) => [service, []]));
  for (const { from, to } of edges.values()) callers.get(to).push(from);
  const state = new Map();
  for (const start of nodes.keys()) {
    const stack = [[start, 0]];
    while (stack.length) {
      const top = stack[stack.length - 1];
      const [service, next] = top;
      if (next === 0) state.set(service, "open");
      if (next < callers.get(service).length) {
        top[1]++;
        if (!state.has(callers.get(service)[next])) stack.push([callers.get(service)[next], 0]);
        continue;
      }
      const before = callers.get(service).filter((caller) => state.get(caller) === "done").map((caller) => columns.get(caller));
      columns.set(service, before.length ? Math.max(...before) + 1 : 0);
      state.set(service, "done");
      stack.pop();
    }
  }
  return columns;
}

const NODE = { width: 178, height: 42, gapX: 84, gapY: 18 };

function drawMap(box, traces, choose) {
  const { nodes, edges } = callsOf(traces);
  if (!nodes.size) return box.replaceChildren(make("div", { class: "empty" }, "No services."));
  const places = placesOf(nodes, edges);
  const most = Math.max(1, ...[...edges.values()].map((edge) => edge.count));
  const width = Math.max(...[...places.values()].map(({ x }) => x)) + NODE.width + 10;
  const height = Math.max(...[...places.values()].map(({ y }) => y)) + NODE.height + 10;
  const scale = Math.max(Math.min(box.clientWidth / width, 1), 0.6);
  box.replaceChildren(draw("svg", { width: width * scale, height: height * scale, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Service map" },
    draw("defs", {}, arrow("arrow", ""), arrow("arrow-failed", "failed")),
    ...[...edges.values()].map((edge) => drawEdge(edge, places.get(edge.from), places.get(edge.to), most)),
    ...[...nodes.values()].map((node) => drawNode(node, places.get(node.service), choose))));
}

function placesOf(nodes, edges) {
  const columns = columnsOf(nodes, edges);
  const byColumn = [];
  for (const [service, column] of columns) (byColumn[column] ||= []).push(service);
  const places = new Map();
  const tallest = Math.max(...byColumn.map((services) => services.length));
  byColumn.forEach((services, column) => {
    const wanted = (service) => {
      const callers = [...edges.values()].filter((edge) => edge.to === service && places.has(edge.from));
      return callers.length ? callers.reduce((sum, edge) => sum + places.get(edge.from).y, 0) / callers.length : 0;
    };
    services.sort((a, b) => wanted(a) - wanted(b) || nodes.get(b).count - nodes.get(a).count);
    const shift = ((tallest - services.length) * (NODE.height + NODE.gapY)) / 2;
    services.forEach((service, n) =>
      places.set(service, { x: 5 + column * (NODE.width + NODE.gapX), y: 5 + shift + n * (NODE.height + NODE.gapY) }));
  });
  return places;
}

function arrow(id, name) {
  return draw("marker", { id, class: name, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" },
    draw("path", { d: "M0 0L8 4L0 8z" }));
}

function drawEdge(edge, from, to, most) {
  const [x1, y1] = [from.x + NODE.width, from.y + NODE.height / 2];
  const isBack = to.x <= from.x;
  const [x2, y2] = [isBack ? to.x + NODE.width : to.x, to.y + NODE.height / 2];
  const bend = isBack ? 60 : Math.max((x2 - x1) / 2, 30);
  const d = `M${x1} ${y1}C${x1 + bend} ${y1} ${isBack ? x2 + bend : x2 - bend} ${y2} ${x2} ${y2}`;
  const failed = edge.errors > 0;
  const title = `${TEXTS[edge.from]} → ${TEXTS[edge.to]}: ${countText(edge.count, "call")}, ${edge.errors} failed`;
  return draw("g", { class: "edge" }, draw("title", {}, title),
    draw("path", { d, class: failed ? "failed" : "", "stroke-width": 1 + (4 * Math.log1p(edge.count)) / Math.log1p(most), "marker-end": `url(#arrow${failed ? "-failed" : ""})` }),
    draw("text", { x: (x1 + x2) / 2 + (isBack ? 45 : 0), y: (y1 + y2) / 2 - 4, "text-anchor": "middle" }, edge.count.toLocaleString("en")));
}

function drawNode(node, { x, y }, choose) {
  const name = TEXTS[node.service] || "(no service)";
  const short = name.length > 24 ? `${name.slice(0, 23)}…` : name;
  const errors = node.errors ? ` · ${node.errors.toLocaleString("en")} failed` : "";
  const chosen = state.service === node.service;
  return draw("g", { class: `node ${chosen ? "chosen" : ""}`, hue: HUES.get(node.service), transform: `translate(${x} ${y})`, onclick: () => choose(chosen ? -1 : node.service) },
    draw("title", {}, name),
    draw("rect", { width: NODE.width, height: NODE.height, rx: 7 }),
    draw("text", { x: 10, y: 18 }, short),
    draw("text", { x: 10, y: 33, class: "faint" }, countText(node.count, "span") + errors));
}

const N_OPERATIONS = 100;

function drawOperations(box, traces, choose) {
  const operations = new Map();
  for (const trace of traces) {
    for (let i = trace.first; i < trace.first + trace.count; i++) {
      const key = `${SPANS.service[i]},${SPANS.name[i]}`;
      if (!operations.has(key)) operations.set(key, { span: i, durations: [], errors: 0 });
      operations.get(key).durations.push(SPANS.duration[i]);
      operations.get(key).errors += SPANS.status[i] === ERROR;
    }
  }
  for (const operation of operations.values()) {
    operation.durations.sort((a, b) => a - b);
    operation.total = operation.durations.reduce((sum, ns) => sum + ns, 0);
  }
  const listed = [...operations.values()].sort((a, b) => b.total - a.total).slice(0, N_OPERATIONS);
  const rows = listed.map(({ span, durations, errors, total }) =>
    make("tr", { onclick: () => choose(span) },
      make("td", {}, make("span", { class: "dot", hue: HUES.get(SPANS.service[span]) }), serviceName(span)),
      make("td", {}, spanName(span)),
      make("td", { class: "n" }, durations.length.toLocaleString("en")),
      make("td", { class: `n ${errors ? "bad" : ""}` }, errors.toLocaleString("en")),
      ...[percentile(durations, 50), percentile(durations, 99), durations[durations.length - 1], total].map((ns) =>
        make("td", { class: "n" }, durationText(ns)))));
  const heads = ["service", "operation", "spans", "errors", "p50", "p99", "max", "sum"];
  box.replaceChildren(
    make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((head, n) => make("th", { class: n > 1 ? "n" : "" }, head)))), make("tbody", {}, ...rows)),
    operations.size > N_OPERATIONS ? make("div", { class: "faint" }, `and ${operations.size - N_OPERATIONS} more`) : "");
}

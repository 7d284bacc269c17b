// What happens when something is clicked or typed.
const list = new Rows(byId("traces"), 58, traceRow);
const waterfall = new Waterfall();
const durations = TRACES.map((trace) => Math.log1p(trace.duration)).sort((a, b) => a - b);

function traceRow(n) {
  const trace = state.found[n];
  const dots = [...trace.services].slice(0, 8).map((service) => make("span", { class: "dot", hue: HUES.get(service), style: { margin: "0" } }));
  const [least, most] = [durations[0], durations[durations.length - 1]];
  const width = `${(100 * (Math.log1p(trace.duration) - least)) / Math.max(most - least, 1e-9)}%`;
  const classes = `row ${trace === state.trace ? "chosen" : ""} ${trace.errors ? "failed" : ""}`;
  return make("div", { class: classes, role: "option", "aria-selected": trace === state.trace, onclick: () => openTrace(trace) },
    make("div", {}, make("span", { class: "name" }, make("span", { class: "faint" }, `${serviceName(trace.root)} `), spanName(trace.root)), make("span", { class: "time" }, durationText(trace.duration))),
    make("div", { class: "faint" }, make("span", { class: "name" }, `${timeText(trace.start).slice(5, 19)}  ${countText(trace.count, "span")}`),
      trace.errors ? make("span", { class: "bad" }, countText(trace.errors, "error")) : undefined, ...dots),
    make("div", { class: "meter" }, make("i", { style: { width } })));
}

function refresh() {
  search();
  byId("found").textContent = state.found.length === TRACES.length ? countText(TRACES.length, "trace") : `${state.found.length.toLocaleString("en")} of ${countText(TRACES.length, "trace")}`;
  byId("range").hidden = !state.range;
  if (state.range) byId("range").textContent = `${durationText(Math.round(state.range[0]))} – ${durationText(Math.round(state.range[1]))} ×`;
  byId("traces").scrollTop = 0;
  list.show(state.found.length);
  if (!byId("overview").hidden) drawOverview();
  if (state.trace) waterfall.rows.update();
}

function drawOverview() {
  drawHistogram(byId("histogram"), state.unranged, (range) => { state.range = range; refresh(); });
  drawMap(byId("map"), state.found, (service) => { state.service = service; byId("service").value = service; refresh(); });
  drawOperations(byId("operations"), state.found, (span) => {
    state.service = SPANS.service[span];
    byId("service").value = state.service;
    byId("search").value = state.query = TEXTS[SPANS.name[span]];
    refresh();
  });
}

function openTab(name) {
  for (const tab of ["overview", "trace"]) {
    byId(tab).hidden = tab !== name;
    byId(`tab-${tab}`).setAttribute("aria-selected", tab === name);
  }
  if (name === "overview") drawOverview();
  else if (!state.trace && state.found.length) openTrace(state.found[0]);
}

function openTrace(trace) {
  state.trace = trace;
  if (byId("trace").hidden) openTab("trace");
  history.replaceState(null, "", `#${trace.id}`);
  waterfall.show(trace);
  list.update();
}

function step(by) {
  const at = state.found.indexOf(state.trace) + by;
  if (at < 0 || at >= state.found.length) return;
  openTrace(state.found[at]);
  list.reveal(at);
}

function start() {
  byId("title").textContent = DATA.title;
  byId("counts").textContent = `${countText(TRACES.length, "trace")}, ${countText(SPANS.name.length, "span")}`;
  byId("note").hidden = !DATA.note;
  byId("note").textContent = DATA.note;
  const services = [...HUES.keys()].sort((a, b) => (TEXTS[a] < TEXTS[b] ? -1 : 1));
  byId("service").append(make("option", { value: -1 }, "all services"), ...services.map((service) => make("option", { value: service }, TEXTS[service] || "(no service)")));
  byId("search").addEventListener("input", (event) => { state.query = event.target.value; refresh(); });
  byId("service").addEventListener("change", (event) => { state.service = Number(event.target.value); refresh(); });
  byId("errors").addEventListener("change", (event) => { state.onlyErrors = event.target.checked; refresh(); });
  byId("sort").addEventListener("change", (event) => { state.sort = event.target.value; refresh(); });
  byId("range").addEventListener("click", () => { state.range = null; refresh(); });
  byId("theme").addEventListener("click", turnTheme);
  for (const tab of ["overview", "trace"]) byId(`tab-${tab}`).addEventListener("click", () => openTab(tab));
  byId("traces").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== byId("search")) { event.preventDefault(); byId("search").focus(); }
  });
  window.addEventListener("resize", () => { if (!byId("overview").hidden) drawOverview(); });
  refresh();
  openTab("overview");
  const wanted = TRACES.find((trace) => trace.id && trace.id === location.hash.slice(1));
  if (wanted || TRACES.length === 1) openTrace(wanted || TRACES[0]);
}

function turnTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
}

start();

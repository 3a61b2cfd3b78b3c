"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/* Charts: the page owns fonts and colours, so that dark and light differ only here. */
function themed(layout = {}) {
  const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  return {
    ...layout,
    margin: { l: 60, r: 44, t: 16, b: 50 }, // the tool bar is at the right, beside the plot
    modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colour("--sans"), color: colour("--ink"), size: 13 },
    hoverlabel: { namelength: -1 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  };
}
const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };
const narrow = matchMedia("(max-width: 40rem)");

function draw(element) {
  const chart = shaped(data.charts[element.dataset.chart], element.dataset.only);
  element.style.height = `${chart.layout.height}px`;
  return Plotly.react(element, chart.data, themed(chart.layout), config);
}

/* A chart of one class only, or with a legend where names beside the points would not fit */
function shaped(chart, only) {
  if (only) {
    const value = (trace) => trace.x[trace.y.indexOf(only)];
    const traces = [...chart.data].sort((a, b) => value(a) - value(b)).map((trace) => ({
      ...trace, x: [value(trace)], y: [trace.name], mode: "markers+text", texttemplate: "%{x:.3f}",
      textposition: "middle right", showlegend: false, cliponaxis: false,
    }));
    const yaxis = { type: "category", automargin: true, range: [-0.6, traces.length - 0.4] };
    const height = Math.max(chart.layout.height, 90 + 24 * traces.length);
    return { data: traces, layout: { ...chart.layout, height, yaxis } };
  }
  if (!narrow.matches) return chart;
  const named = chart.data.some((trace) => trace.mode === "markers+text");
  const showlegend = named || (chart.layout.showlegend ?? chart.data.length > 1);
  const lines = showlegend ? chart.data.filter((trace) => trace.showlegend !== false).length : 0;
  return {
    data: chart.data.map((trace) => (trace.mode === "markers+text" ? { ...trace, mode: "markers" } : trace)),
    layout: { ...chart.layout, showlegend, height: chart.layout.height + 20 * lines }, // a name a line
  };
}
const visible = (element) => element.offsetParent !== null;
async function drawVisible() {
  for (const element of all("[data-chart]").filter(visible)) {
    await draw(element);
    await new Promise((next) => setTimeout(next)); // let the reader scroll meanwhile
  }
}

/* Dark and light */
const button = document.getElementById("theme");
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  button.textContent = theme === "dark" ? "Light" : "Dark";
  button.setAttribute("aria-pressed", theme === "dark");
  all(".js-plotly-plot").forEach((element) => visible(element) && draw(element));
}
button.addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));

/* On paper everything is light and open */
let onScreen;
addEventListener("beforeprint", () => {
  onScreen = document.documentElement.dataset.theme;
  setTheme("light");
  all("[data-chart]").forEach(draw);
});
addEventListener("afterprint", () => setTheme(onScreen));

/* Tabs, with the arrow keys */
function select(tab) {
  for (const other of all("[role=tab]", tab.parentElement)) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  all("[data-chart]", document.getElementById(tab.getAttribute("aria-controls"))).forEach(draw);
}
for (const tab of all("[role=tab]")) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const tabs = all("[role=tab]", tab.parentElement);
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    next.focus();
    select(next);
  });
}

/* Tables: sort by a column's button, filter by words */
function sort(header) {
  const down = header.getAttribute("aria-sort") ? header.getAttribute("aria-sort") === "ascending" : header.classList.contains("number");
  const place = header.cellIndex;
  const body = header.closest("table").tBodies[0];
  const value = (row) => row.cells[place].dataset.value;
  const numeric = header.classList.contains("number");
  const rows = [...body.rows].sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    if (one === "" || other === "") return (one === "") - (other === ""); // nothing comes last
    const order = numeric ? one - other : one.localeCompare(other);
    return down ? -order : order;
  });
  all("th", header.parentElement).forEach((other) => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...rows);
}
for (const control of all("thead button")) control.addEventListener("click", () => sort(control.parentElement));
for (const field of all("[data-filter]")) {
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of all("tbody tr", document.getElementById(field.dataset.filter))) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

/* One class at a time */
for (const chip of all("[data-class]")) {
  chip.addEventListener("click", () => {
    all("[data-class]", chip.parentElement).forEach((other) => other.setAttribute("aria-pressed", other === chip));
    const element = document.querySelector(`[data-chart="${chip.dataset.for}"]`);
    element.dataset.only = chip.dataset.class;
    draw(element);
  });
}

/* Matrices: {rows, columns, values, unit: "images" | "share" | "accuracy" | "difference"} */
function matrix(element, { rows, columns, values, unit, right }) { // right: which cells are, if not the diagonal
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  head.append(document.createElement("td"));
  const heading = (text, scope) => Object.assign(document.createElement("th"), { scope, textContent: text });
  for (const name of columns) {
    const cell = heading("", "col");
    cell.append(Object.assign(document.createElement("span"), { textContent: name }));
    head.append(cell);
  }
  const body = table.createTBody();
  values.forEach((line, i) => {
    const row = body.insertRow();
    row.append(heading(rows[i], "row"));
    const total = line.reduce((sum, value) => sum + value, 0);
    line.forEach((value, j) => {
      const cell = row.insertCell();
      const [text, strength, good, title] = looks(unit, value, total, right ? right[i][j] : i === j);
      cell.textContent = text;
      cell.title = `${rows[i]} → ${columns[j]}: ${title}`;
      cell.classList.toggle("zero", value === 0);
      cell.style.background = `rgba(var(--${good ? "right" : "wrong"}), ${strength})`;
    });
  });
  element.replaceChildren(table);
}
function looks(unit, value, total, right) {
  if (unit === "accuracy") {
    if (value === null) return ["", 0, false, "one level only"];
    return [(100 * value).toFixed(0), 0.85 * (1 - value), false, `${(100 * value).toFixed(2)} %`];
  }
  if (unit === "share") return [(100 * value).toFixed(1), Math.max(0, (value - 0.8) * 3.5), true, `${(100 * value).toFixed(2)} %`];
  if (unit === "difference") {
    const good = right ? value > 0 : value < 0;
    return [value > 0 ? `+${value}` : `${value}`.replace("-", "−"), Math.min(0.75, Math.sqrt(Math.abs(value) / 150)), good, `${value} images`];
  }
  const share = total ? value / total : 0;
  const strength = right ? 0.65 * share : Math.min(0.75, Math.sqrt(share) * 1.5);
  return [`${value}`, strength, right, `${value} of ${total} images (${(100 * share).toFixed(1)} %)`];
}
for (const element of all("[data-matrix]")) matrix(element, data.matrices[element.dataset.matrix]);

/* Two confusion matrices and their difference */
const [first, second] = all("[data-versus]");
function versus() {
  const { classes, counts } = data.confusions;
  const [one, other] = [counts[first.value], counts[second.value]];
  const difference = other.map((line, i) => line.map((value, j) => value - one[i][j]));
  const show = (name, heading, values, unit) => {
    document.getElementById(`${name}-heading`).textContent = heading;
    matrix(document.getElementById(name), { rows: classes, columns: classes, values, unit });
  };
  show("versus-first", first.value, one, "images");
  show("versus-second", second.value, other, "images");
  show("versus-difference", `${second.value} less ${first.value}`, difference, "difference");
}
if (first) {
  first.addEventListener("change", versus);
  second.addEventListener("change", versus);
  versus();
}

/* Mark the section in view */
const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((entry) => entry.isIntersecting)) {
    links.forEach((link) => link.removeAttribute("aria-current"));
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-20% 0px -70% 0px" });
all("main section[id]").forEach((section) => observer.observe(section));

setTheme(document.documentElement.dataset.theme);
drawVisible();

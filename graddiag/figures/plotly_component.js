// Draws a figure in a page of Streamlit. One that changes is changed where it stands: nothing of it is away meanwhile,
// and what somebody has zoomed into or switched off stays so for as long as the address asks for the same.
const PASSING = ["step"]; // of the address: what moves within a picture, and makes no other of it
const ICON = {
  width: 24,
  height: 24,
  path: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
};
const charts = new WeakMap();

export default async function ({ data, parentElement, setTriggerValue }) {
  const chart = charts.get(parentElement) ?? begin(parentElement);
  chart.tell = (picked) => setTriggerValue("picked", picked);
  if (!same(chart.packed, data)) {
    chart.packed = data;
    chart.box.setAttribute("aria-busy", "true");
    try {
      const asked = await unpacked(data);
      const plotly = await library(asked.plotly);
      if (chart.packed === data) {
        Object.assign(chart, asked, { plotly });
        await draw(chart);
      }
    } catch (error) {
      fail(chart, error);
    }
    if (chart.packed === data) chart.box.setAttribute("aria-busy", "false");
  }
  // what ends may be this drawing alone, and not the picture
  return () => setTimeout(() => parentElement.isConnected || end(chart));
}

function begin(parent) {
  const box = document.createElement("div");
  box.className = "graddiag-chart";
  box.style.background = "var(--st-background-color)"; // without it a picture that fills the screen is on black
  parent.append(box);
  const chart = { box };
  const redraw = () => requestAnimationFrame(() => draw(chart));
  chart.sizes = new ResizeObserver(() => box.clientWidth !== chart.width && redraw());
  chart.sizes.observe(box);
  box.addEventListener("fullscreenchange", redraw);
  charts.set(parent, chart);
  return chart;
}

function end(chart) {
  chart.sizes.disconnect();
  chart.plotly?.purge(chart.box);
  charts.delete(chart.box.parentElement);
  chart.box.remove();
}

async function draw(chart) {
  const { alt, box, figure, plotly } = chart;
  if (!figure || !box.clientWidth) return;
  chart.width = box.clientWidth;
  const before = chart.view;
  chart.view = view();
  if (chart.view !== before) chart.zoomed = new Set();
  const layout = {
    ...structuredClone(figure.layout),
    width: chart.width,
    height: document.fullscreenElement === box ? box.clientHeight : figure.layout.height,
    uirevision: chart.view,
    selectionrevision: performance.now(), // a box is gone once it has been told
  };
  for (const axis of chart.zoomed) {
    if (axis in layout) Object.assign(layout[axis], { range: box.layout[axis].range, autorange: false });
  }
  box.setAttribute("role", "figure");
  box.setAttribute("aria-label", alt);
  if (chart.failed) box.textContent = "";
  chart.failed = false;
  await plotly.react(box, figure.data, layout, config());
  if (!chart.heard) hear(chart);
  chart.heard = true;
}

function hear(chart) {
  const { box, picks } = chart;
  // plotly keeps a range only while the figure asks for the same one, and that of a run that grows grows
  box.on("plotly_relayout", (changed) => {
    const ranges = Object.keys(changed).map((name) => name.match(/^([xy]axis\d*)\.(range\[|range$|autorange)/)).filter(Boolean);
    for (const [, axis, how] of ranges) how === "range[" ? chart.zoomed.add(axis) : chart.zoomed.delete(axis);
    if (ranges.some(([, , how]) => how !== "range[")) draw(chart); // back to what the figure asks for by now
  });
  if (!picks) return;
  box.on("plotly_click", ({ points }) => {
    const marks = points.filter((point) => point.data.name === picks);
    if (marks.length) chart.tell({ points: [{ x: marks[0].x }] });
  });
  box.on("plotly_selected", (event) => {
    const [x, y] = ["x", "y"].map((axis) => Object.entries(event?.range ?? {}).find(([name]) => name.startsWith(axis)));
    if (x && y) chart.tell({ box: [{ x: x[1], y: y[1] }] });
  });
}

function config() {
  const whole = {
    name: "fullscreen",
    title: "Fullscreen",
    icon: ICON,
    click: (box) => (document.fullscreenElement ? document.exitFullscreen() : box.requestFullscreen()),
  };
  return {
    displaylogo: false,
    displayModeBar: "hover",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
    modeBarButtonsToAdd: document.fullscreenEnabled ? [whole] : [],
    showSendToCloud: false,
  };
}

function view() {
  const asked = new URLSearchParams(location.search);
  for (const name of PASSING) asked.delete(name);
  return `${location.pathname}?${asked}`;
}

function same(one, other) {
  return one?.length === other.length && one.every((byte, place) => byte === other[place]);
}

async function unpacked(data) {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// plotly.js, once for a page. Under an address of its own, so that a browser compiles it once for many pages, which takes
// longer than to fetch it; the integrity says whether what came is the one.
function library({ address, integrity }) {
  window.graddiagPlotly ??= run(address, integrity)
    .catch((error) => {
      window.graddiagPlotly = undefined;
      throw error;
    });
  return window.graddiagPlotly;
}

function run(address, integrity) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: address, integrity });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("plotly.js was not given, or is another one"));
    document.head.append(script);
  });
}

function fail(chart, error) {
  console.error(error);
  chart.plotly?.purge(chart.box);
  Object.assign(chart, { failed: true, heard: false });
  chart.box.textContent = `This picture could not be drawn: ${error.message}. Reload the page; its numbers are under CSV.`;
}

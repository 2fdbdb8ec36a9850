"use strict";
// Draws each figure when it comes near the screen, in the colours the reader's system asks for.
(async () => {
  const CONFIG = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    scrollZoom: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  // text that is compressed, in base64
  const unpacked = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  if (typeof DecompressionStream === "undefined") {
    document.querySelectorAll(".plot").forEach((plot) => {
      plot.textContent = "Open this file in a browser of 2023 or later to see the figure.";
    });
    return;
  }
  // a script whose text has the hash that the page's policy names; in a preview it is fetched instead
  const program = document.getElementById("plotly");
  if (program !== null) {
    const script = document.createElement("script");
    script.textContent = await unpacked(program.textContent);
    document.head.append(script);
  }
  const figures = JSON.parse(await unpacked(document.getElementById("figures").textContent));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Set();
  let printing = false;

  const draw = (figure) => {
    const theme = dark.matches && !printing ? figure.dark : { data: [], layout: figure.layout };
    const data = figure.data.map((trace, place) => ({ ...trace, ...theme.data[place] }));
    drawn.add(figure.id);
    // as wide as the paper, whatever the window: a figure is drawn before the page has the width of the paper
    const sheet = printing ? { ...figure.paper, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" } : {};
    return Plotly.react(figure.id, data, { ...theme.layout, ...sheet }, { ...CONFIG, responsive: !printing });
  };
  // the CSV of a figure, or of the earlier one whose table is the same
  const numbersOf = (id) => {
    const { csv } = named(id);
    return csv.startsWith("#") ? numbersOf(csv.slice(1)) : unpacked(csv);
  };
  const named = (id) => figures.find((figure) => figure.id === id);
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting && !drawn.has(entry.target.id))
      .forEach((entry) => draw(named(entry.target.id))),
    { rootMargin: "800px 0px" },
  );
  figures.forEach((figure) => near.observe(document.getElementById(figure.id)));
  document.querySelectorAll(".numbers").forEach((button) => button.addEventListener("click", async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([await numbersOf(button.dataset.figure)], { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }));
  dark.addEventListener("change", () => figures.filter((figure) => drawn.has(figure.id)).forEach(draw));
  const before = [];
  window.addEventListener("afterprint", () => {
    printing = false;
    before.forEach(draw);
  });
  window.addEventListener("beforeprint", () => {
    printing = true;
    before.splice(0, before.length, ...figures.filter((figure) => drawn.has(figure.id)));
    figures.forEach(draw);
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
  });
})();

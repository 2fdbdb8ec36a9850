"use strict";
// Draws every figure at the width of its page; what is printed waits for window.drawn.
window.drawn = Promise.all(
  JSON.parse(document.getElementById("figures").textContent)
    .map(({ id, data, layout }) => Plotly.newPlot(id, data, layout, { staticPlot: true })),
);

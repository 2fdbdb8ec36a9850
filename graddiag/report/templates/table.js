"use strict";
// The table behind a figure, as graddiag.figures.csv makes it: a row a point or a cell, with what the numbers are.
const numbersOf = (() => {
  const COLUMNS = [
    "panel", "series", "text", "x", "x value", "y", "y value", "low", "high", "z", "z value", "state",
  ];
  const ARRAYS = {
    i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array, f4: Float32Array,
    f8: Float64Array,
  };
  const ZERO = 1, INF = 4;  // of CellState

  // an array of plotly's JSON: as it is, or packed in base64
  const unpacked = (held) => {
    if (!held || !held.bdata) return held || [];
    const bytes = Uint8Array.from(atob(held.bdata), (letter) => letter.charCodeAt(0));
    const flat = Array.from(new ARRAYS[held.dtype](bytes.buffer));
    if (!held.shape) return flat;
    const [rows, columns] = String(held.shape).split(",").map(Number);
    return Array.from({ length: rows }, (_, row) => flat.slice(row * columns, (row + 1) * columns));
  };
  const plain = (text) => {
    const box = document.createElement("textarea");  // never shown: reads entities, runs nothing
    box.innerHTML = String(text).replaceAll("<br>", ", ").replace(/<\/?b>/g, "");
    return box.value;
  };
  const read = (value) => (typeof value === "string" ? plain(value) : value);
  const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
  const worth = (meta, value) => {
    if (meta.state === undefined) return value;
    return meta.state === ZERO ? 0 : meta.state === INF ? "inf" : "";
  };

  function* cells(trace, told) {
    const [x, y, z] = [trace.x, trace.y, trace.z].map(unpacked);
    for (const [row, line] of z.entries()) {
      for (const [column, value] of line.entries()) {
        if (!Number.isFinite(value)) continue;
        yield {
          "x value": x[column], "y value": y[row], z: told.z, state: told.state || "value",
          "z value": worth(trace.meta || {}, told.log ? 10 ** value : value),
        };
      }
    }
  }
  function* band(trace) {
    const [x, y] = [trace.x, trace.y].map(unpacked), half = Math.floor(x.length / 2);
    for (let place = 0; place < half; place += 1) {
      yield { "x value": x[place], low: y[x.length - 1 - place], high: y[place] };
    }
  }
  function* points(trace, told) {
    const x = told.x_values || unpacked(trace.x), own = unpacked(trace.customdata), meta = trace.meta || {};
    const y = own.length && !Array.isArray(own[0]) ? own : unpacked(trace.y);
    const axis = ["x", "y"].find((name) => trace[`error_${name}`] && trace[`error_${name}`].array);
    const bars = axis ? trace[`error_${axis}`] : {}, middle = axis ? unpacked(trace[axis]) : [];
    const [over, under] = [bars.array, bars.arrayminus].map(unpacked);
    for (const [place, at] of x.entries()) {
      if (meta.state === undefined && !known(y[place])) continue;
      yield {
        "x value": told.x_values ? at : read(at), "y value": worth(meta, read(y[place])), state: told.state,
        text: Array.isArray(trace.text) ? plain(trace.text[place]) : "",
        low: axis ? middle[place] - under[place] : "", high: axis ? middle[place] + over[place] : "",
      };
    }
  }
  function* rows({ data, table }) {
    for (const [place, trace] of data.entries()) {
      const told = table[place];
      if (!told) continue;
      const found = trace.type === "heatmap" ? cells(trace, told) : trace.fill ? band(trace) : points(trace, told);
      for (const row of found) yield { panel: told.panel, series: told.series, x: told.x, y: told.y, ...row };
    }
  }
  const field = (value) => {
    if (!known(value)) return "";
    if (typeof value === "number") return Number.isFinite(value) ? String(value) : `${value < 0 ? "-" : ""}inf`;
    const text = String(value);
    const harmless = /^[=+\-@\t\r]/.test(text) && text !== "-inf" ? `'${text}` : text;  // no formula to a spreadsheet
    return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
  };

  return (figure) => {
    const found = [...rows(figure)];
    const held = COLUMNS.filter((name) => found.some((row) => known(row[name]) && row[name] !== ""));
    const shown = COLUMNS.filter((name) => held.includes(name) || held.includes(name.replace(/ value$/, "")));
    return [shown, ...found.map((row) => shown.map((name) => row[name]))]
      .map((line) => `${line.map(field).join(",")}\n`).join("");
  };
})();

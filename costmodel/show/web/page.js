"use strict";
// Colours of the figures are the page's CSS variables: read anew for light, dark and print.
const figures = JSON.parse(document.getElementById("figures").textContent);
const settings = { displayModeBar: false, responsive: true, showTips: false };
const PRINT_PX = 660; // what an A4 page holds between its margins

function coloured(value, style) {
  if (typeof value === "string") return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  if (Array.isArray(value)) return value.map((each) => coloured(each, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each, style)]));
  }
  return value;
}

function draw(printing) {
  // An attribute, for the media query of print holds only after this event.
  document.documentElement.toggleAttribute("data-print", Boolean(printing));
  const style = getComputedStyle(document.documentElement);
  for (const [id, figure] of Object.entries(figures)) {
    const { data, layout } = coloured(figure, style);
    const columns = document.getElementById(id).closest(".two") ? 2 : 1;
    if (printing) Object.assign(layout, { width: PRINT_PX / columns - 8, autosize: false });
    Plotly.react(id, data, layout, settings);
  }
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
addEventListener("beforeprint", () => draw(true));
addEventListener("afterprint", () => draw());

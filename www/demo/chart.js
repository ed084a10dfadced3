// A chart of the last minute: one line for each series, drawn as SVG.
const SECONDS = 60;
const WIDTH = 600;
const HEIGHT = 120;

/**
 * @param svg the element, with a `polyline` for each series in its order
 * @returns a function that takes the newest value of each series, and returns the largest value that is shown
 */
export function createChart(svg) {
  const lines = [...svg.querySelectorAll("polyline")];
  const series = lines.map(() => Array(SECONDS).fill(0));
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  return (values) => {
    for (const [at, points] of series.entries()) {
      points.push(values[at]);
      points.shift();
    }
    const top = Math.max(20, ...series.flat());
    for (const [at, line] of lines.entries()) {
      const place = (value, index) =>
        `${((index * WIDTH) / (SECONDS - 1)).toFixed(1)},${(HEIGHT - 2 - (value * (HEIGHT - 6)) / top).toFixed(1)}`;
      line.setAttribute("points", series[at].map(place).join(" "));
    }
    return top;
  };
}

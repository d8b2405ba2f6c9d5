// Looks at a page of `zeroqat report` from inside of a browser and appends to it, in <p id="found">, what a reader would
// find wrong, or "fine".
const problems = [];
const say = (wrong, what) => { if (wrong) problems.push(what); };

// Contrast of two colors as WCAG defines it.
const luminance = (color) => {
  const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};

const ground = getComputedStyle(document.body).backgroundColor;
const dark = luminance(ground) < 0.2;
say(dark !== matchMedia("(prefers-color-scheme: dark)").matches, `the ground is ${ground}`);
say(contrast(ground, getComputedStyle(document.body).color) < 7, "text is hard to read");
say(performance.getEntriesByType("resource").length > 0, "the page loads other files");
say(document.documentElement.scrollWidth > innerWidth, `the page is wider than the window: ${innerWidth}`);
say(document.querySelectorAll("tbody tr").length === 0, "the table has no row");

const charts = [...document.querySelectorAll("svg")];
say(charts.length === 0, "there is no chart");
for (const chart of charts) {
  const name = chart.getAttribute("aria-label"), frame = chart.getBoundingClientRect();
  say(frame.width < 250 || frame.height < 100, `'${name}' is ${frame.width} x ${frame.height}`);
  for (const shape of chart.querySelectorAll("text, circle, polyline")) {
    const box = shape.getBoundingClientRect();
    const inside = box.left >= frame.left - 1 && box.right <= frame.right + 1 && box.top >= frame.top - 1 &&
      box.bottom <= frame.bottom + 1;
    say(!inside, `'${name}': a ${shape.tagName} '${shape.textContent}' reaches out of its chart`);
  }
  const labels = [...chart.querySelectorAll(".axes text")];
  say(labels.length < 4, `'${name}' has no axes`);
  for (const [i, a] of labels.entries())
    for (const b of labels.slice(i + 1)) {
      const p = a.getBoundingClientRect(), q = b.getBoundingClientRect();
      say(p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom,
        `'${name}': the labels '${a.textContent}' and '${b.textContent}' overlap`);
    }
  const series = [...chart.querySelectorAll("g[class^=c]")];
  say(series.length === 0, `'${name}' has no series`);
  for (const one of series) {
    const line = one.querySelector("polyline");
    say(line.getTotalLength() === 0 && !one.querySelector("circle"), `'${name}' has a series that nobody sees`);
    say(contrast(ground, getComputedStyle(line).stroke) < 3, `'${name}' has a series in a color that nobody sees`);
  }
}
const found = document.createElement("p");
found.id = "found";
found.textContent = problems.length === 0 ? `fine, ${charts.length} charts, ${dark ? "dark" : "light"}` : problems.join("; ");
document.body.append(found);

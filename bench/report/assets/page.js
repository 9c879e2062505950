'use strict';
// Draws the plots of the page from the data in it. Everything else is there without a script.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const s = data.series;
  const MiB = 1024 * 1024;
  const printed = matchMedia('print');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const chosen = document.getElementById('who');
  let charts = [];

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const scaled = (column, by) => column && column.map((v) => (v === null ? null : v / by));
  const brief = (v) => (v === null || v === undefined ? '–' : String(Number(v.toPrecision(3))));

  // lines are drawn with these, one after the other; dashes tell them apart in grey.
  const pens = [['--a', []], ['--b', [6, 3]], ['--c', [2, 3]], ['--d', [10, 4, 2, 4]]];

  // hold shades what was measured.
  function hold(u) {
    const from = u.valToPos(Math.max(s.hold_from, u.scales.x.min), 'x', true);
    const to = u.valToPos(Math.min(s.hold_to, u.scales.x.max), 'x', true);
    if (!(to > from)) return;
    u.ctx.save();
    u.ctx.fillStyle = color('--shade');
    u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
    u.ctx.restore();
  }

  // draw makes one plot; lines are pairs of a label and a column.
  function draw(name, x, lines, more = {}) {
    const box = document.querySelector(`[data-plot="${name}"]`);
    if (!box) return;
    box.replaceChildren();
    lines = lines.filter(([, column]) => column && column.length > 0);
    if (lines.length === 0 || !x || x.length === 0) {
      const none = document.createElement('div');
      none.className = 'none';
      none.textContent = 'not measured';
      box.append(none);
      return;
    }
    const axis = { stroke: color('--ink'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line') } };
    const u = new uPlot({
      width: width(box), height: 200,
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false, ...more.x }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1], ...more.y } },
      axes: [{ ...axis, ...more.xAxis }, { ...axis, size: 58, ...more.yAxis }],
      series: [
        { label: more.xLabel || 's', value: more.xValue || ((_, v) => brief(v)) },
        ...lines.map(([label], i) => ({
          label, stroke: color(pens[i][0]), dash: pens[i][1], width: 2, points: { show: x.length < 3 },
          value: (_, v) => brief(v), paths: more.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
        })),
      ],
      hooks: more.plain ? {} : { drawClear: [hold] },
    }, [x, ...lines.map(([, column]) => column)], box);
    charts.push({ u, box });
  }

  // width is what a plot may take; on paper the window's width means nothing.
  function width(box) {
    if (!printed.matches && !printing) return box.clientWidth;
    return box.closest('.grid') ? 330 : 680;
  }

  // delay puts each further nine of the percentage at the same distance.
  function delay() {
    const points = data.curve || [];
    const ms = points.map(([, v]) => v * 1000);
    const nines = points.map(([share]) => (share < 1 ? -Math.log10(1 - share) : NaN));
    if (points.length > 1) nines[points.length - 1] = nines[points.length - 2] + 0.15; // all of them
    const name = (v) => (v <= 0 ? '0 %' : `${Number((100 - 100 * 10 ** -v).toFixed(Math.max(0, Math.ceil(v) - 1)))} %`);
    const wide = ms.length > 0 && ms[ms.length - 1] > 20 * Math.max(ms[0], 0.001);
    draw('delay', nines, [['ms', ms]], {
      plain: true, xLabel: 'share', xValue: (_, v, __, i) => (i == null ? '–' : `${Number((100 * points[i][0]).toPrecision(7))} %`),
      xAxis: { values: (_, all) => all.map((v) => (Number.isInteger(v) ? name(v) : '')), splits: (u) => [...Array(Math.floor(u.scales.x.max) + 1).keys()] },
      yAxis: wide ? { splits: (u) => powers(u.scales.y.min, u.scales.y.max) } : {},
      y: wide ? { distr: 3, range: (_, low, high) => [10 ** Math.floor(Math.log10(Math.max(low, 0.001))), 10 ** Math.ceil(Math.log10(high))] } : {},
    });
  }

  // powers are those of ten between two of them.
  function powers(low, high) {
    const all = [];
    for (let v = low; v <= high * 1.001; v *= 10) all.push(Number(v.toPrecision(1)));
    return all;
  }

  function person() {
    if (!chosen) return;
    const p = data.participants[Number(chosen.value)];
    const up = scaled(p.up, 1e6);
    const down = scaled(p.down, 1e6);
    draw('rate', s.at, [['received', scaled(p.received, 1e6)], ['link down', down], ['sent', scaled(p.sent, 1e6)], ['link up', up]]);
    draw('layer', s.at, [['layer', p.layer]], { stepped: true, yAxis: { splits: () => [0, 1, 2] }, y: { range: () => [-0.1, 2.2] } });
  }

  let printing = false;
  function all() {
    for (const { u } of charts) u.destroy();
    charts = [];
    delay();
    draw('packets', s.at, [['received', s.received_packets], ['sent', s.sent_packets]]);
    draw('p99', s.at, [['ms', scaled(s.delay_p99, 0.001)]]);
    draw('cpu', s.at, [['server', s.server_cpu], ['generator', s.own_cpu]]);
    draw('rss', s.at, [['MiB', scaled(s.server_rss, MiB)]]);
    draw('people', s.at, [['people', s.people]], { stepped: true });
    draw('lost', s.at, [['lost', s.lost]]);
    person();
  }

  all();
  if (chosen) chosen.addEventListener('change', all);
  dark.addEventListener('change', all);
  // While the page is printed, its colours are those of paper.
  printed.addEventListener('change', all);
  addEventListener('beforeprint', () => { printing = true; all(); });
  addEventListener('afterprint', () => { printing = false; all(); });
  let known = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth === known) return;
    known = innerWidth;
    for (const { u, box } of charts) u.setSize({ width: width(box), height: 200 });
  });
})();

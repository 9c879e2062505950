const SVG = 'http://www.w3.org/2000/svg';

// Strokes on a 24 x 24 grid.
const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM6 11a6 6 0 0 0 12 0M12 17v4M8.5 21h7',
  micOff: 'M9 9v2a3 3 0 0 0 4.6 2.5M15 10V6a3 3 0 0 0-5.8-1M6 11a6 6 0 0 0 9.5 4.9M18 11c0 .9-.2 1.7-.5 2.5M12 17v4M8.5 21h7M4 3l16 18',
  camera: 'M4 6.5h9.5a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 16V8A1.5 1.5 0 0 1 4 6.5zM15 10.5l6.5-3.5v10L15 13.5',
  cameraOff: 'M9 6.5h4.5A1.5 1.5 0 0 1 15 8v2.5l6.5-3.5v10l-3-1.6M15 15.5v.5a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 16V8A1.5 1.5 0 0 1 4 6.5M4 3l16 18',
  share: 'M3 5h18v11H3zM8 20h8M12 16v4M12 13V8M9.5 10.3L12 8l2.5 2.3',
  chat: 'M4 5h16v11H10l-4.5 4v-4H4z',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  leave: 'M3 14.5c-.5-1 0-2.5 1-3.3 4.5-3.5 11.5-3.5 16 0 1 .8 1.5 2.3 1 3.3l-.8 1.3-4.2-1.5-.3-2.8c-2.3-.8-5.1-.8-7.4 0L8 14.3l-4.2 1.5z',
  people: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.5c2.1.9 3.5 2.9 3.5 5.5',
  person: 'M12 12a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM3.5 21c0-4.2 3.8-7 8.5-7s8.5 2.8 8.5 7',
  pin: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  full: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  close: 'M6 6l12 12M18 6L6 18',
  record: 'M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10z',
  send: 'M4 12l16-8-5 16-3.5-6.5z',
};

/** An icon is decoration: the word beside it says what it means. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [k, v] of Object.entries({ viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' })) {
    svg.setAttribute(k, v);
  }
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

// Package browser holds the tests that only a real browser can decide: three people in a
// consultation, in three pages of one Chromium, against the real command.
//
//	bedside demo (a process) ◄─ HTTP, WebSocket, WebRTC on loopback ─► Chromium (a process) ◄─ DevTools pipe ─► go test
//
// Each page has its own person: page.js puts the browser's one fake camera (in Chromium a file, the
// same for the whole process) into four quadrants whose colours say who it is, and gives each a tone
// instead of a voice. It watches every frame that a page shows, so that one wrong frame in a minute
// is found.
//
// In some tests one of the people uses Firefox, over WebDriver BiDi (package bidi). Firefox gathers
// no loopback address: its media goes by one of the machine's others.
//
// One test has GStreamer (a Python process, testdata/webrtcbin.py) publish by WHIP and watch by WHEP.
//
// Nothing sleeps: every wait is for a named condition, with a deadline. There are no files but
// tests. Without the browsers, or GStreamer, they are skipped, and say so.
package browser

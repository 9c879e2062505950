// Package browser holds the tests that only a real browser can decide: three people in a
// consultation, in three pages of one Chromium, against the real command.
//
//	bedside demo (a process) ◄─ HTTP, WebSocket, WebRTC on loopback ─► Chromium (a process) ◄─ DevTools pipe ─► go test
//
// Each page has its own person: page.js tints the browser's one fake camera (a file, the same for
// the whole process) in four quadrants whose order says who it is, and gives each a tone instead of
// a voice. It watches every frame that a page shows, so that one wrong frame in a minute is found.
//
// Nothing sleeps: every wait is for a named condition, with a deadline. There are no files but
// tests. Without Chromium they are skipped, and say so.
package browser

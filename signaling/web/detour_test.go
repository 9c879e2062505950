package web_test

import (
	"context"
	"testing"
)

// detourJS plays seconds of a connection to a Detour and tells what it decided when.
const detourJS = `Promise.all([import('/sdk/v1/detour.js'), import('/sdk/v1/media.js')]).then(([{ Detour, worthReturning }, { withoutUDP }]) => {
	const play = (...parts) => {
		const d = new Detour();
		const said = [];
		let second = 0;
		for (const [n, protocol, loss, relayed = false, silent = false] of parts) {
			if (n === 'reset') { d.reset(); continue; }
			for (let i = 0; i < n; i++) {
				second++;
				const what = d.sample({ path: { protocol, relayed, silent }, downLoss: 0, upLoss: loss }, second * 1000);
				if (what) said.push(what + ' ' + second);
			}
		}
		return said.join();
	};
	return {
		good: play([100, 'udp', 0.29]),
		nine: play([9, 'udp', 0.9], [1, 'udp', 0], [9, 'udp', 0.9]),
		lossy: play([30, 'udp', 0.31]),
		holes: play([4, 'udp', 0.9], [5, 'udp', 0.9, false, true], [4, 'udp', 0.9], [5, 'udp', 0.9, false, true], [9, 'udp', 0.9]),
		unknown: play([100, undefined, 1]),
		tcp: play([1000, 'tcp', 0.5]),
		relayed: play([121, 'udp', 0.5, true]),
		backAndAway: play([121, 'tcp', 0], [10, 'udp', 0.5], [240, 'tcp', 0], [1, 'tcp', 0]),
		moved: play([121, 'tcp', 0], ['reset'], [121, 'tcp', 0]),
		worth: [{ udp: true }, { udp: true, lossUp: 0.05 }, { udp: true, lossDown: 0.06 }, { udp: false, tcp: true }].map(worthReturning).join(),
		answer: withoutUDP('v=0\r\na=candidate:1 1 udp 2 192.0.2.1 8443 typ host\r\na=candidate:2 1 tcp 1 192.0.2.1 8443 typ host tcptype passive\r\nx\r\n'),
		only: withoutUDP('a=candidate:1 1 udp 2 192.0.2.1 8443 typ host\r\n'),
	};
})`

// testDetour: UDP is left when it loses more than 30 % for ten seconds, and tried again after two minutes,
// then four, and so on. A network that is gone for five seconds again and again is no lossy UDP.
func testDetour(t *testing.T, browser context.Context) {
	f := newFake(t)
	p := newTab(t, browser, f.URL+"/precall", connections)
	got := eval[map[string]string](p, detourJS)
	for name, want := range map[string]string{
		"good": "", "nine": "", "holes": "", "lossy": "leave 10,leave 20,leave 30", "unknown": "",
		"tcp": "try 121,try 361,try 841", "relayed": "try 121", "backAndAway": "try 121,leave 131,try 372", "moved": "try 121,try 242",
		"worth":  "true,true,false,false",
		"answer": "v=0\r\na=candidate:2 1 tcp 1 192.0.2.1 8443 typ host tcptype passive\r\nx\r\n",
		"only":   "a=candidate:1 1 udp 2 192.0.2.1 8443 typ host\r\n",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

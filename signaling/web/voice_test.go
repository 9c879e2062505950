package web_test

import (
	"context"
	"testing"
)

// packedJS asks for packets of a length in an answer, and takes it back.
const packedJS = `import('/sdk/v1/voice.js').then(({ packed }) => {
	const sdp = 'v=0\r\nm=audio 9\r\na=mid:1\r\na=x\r\nm=audio 9\r\na=mid:10\r\n';
	const long = packed(sdp, '1', 60);
	return {
		long: long.replaceAll('\r\n', ' '),
		longer: packed(long, '1', 120).replaceAll('\r\n', ' '),
		again: String(packed(long, '1', 60) === long),
		back: String(packed(long, '1', 0) === sdp),
	};
})`

// testPacked: packets of 60 ms are asked for in the voice's own m-line alone.
func testPacked(t *testing.T, browser context.Context) {
	f := newFake(t)
	p := newTab(t, browser, f.URL+"/precall", connections)
	got := eval[map[string]string](p, packedJS)
	for name, want := range map[string]string{
		"long":   "v=0 m=audio 9 a=mid:1 a=ptime:60 a=x m=audio 9 a=mid:10 ",
		"longer": "v=0 m=audio 9 a=mid:1 a=ptime:120 a=x m=audio 9 a=mid:10 ",
		"again":  "true", "back": "true",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

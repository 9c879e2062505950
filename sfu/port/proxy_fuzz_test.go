package port

import "testing"

// FuzzProxyHeader: what is said of the first bytes is never taken back when more come, a header ends within
// what has come and within bounds, and nobody is said to come from this machine.
func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{
		"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\nGET", "PROXY UNKNOWN\r\n", "PROXY TCP6 2001:db8::1 ::1 4096 443\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x0a\x00\x00\x01\x10\x00\x01\xbb", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x21\xff\xff", "PROXY TCP4 127.0.0.1 1 1 1\r\n", "\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), proxyV2Head+proxyV2Max)]
		decided := false
		var last int
		for n := range len(b) + 1 {
			from, size, err := proxyHeader(b[:n])
			if size > n || err != nil && size != 0 || from.IsValid() && (size == 0 || from.Addr().IsLoopback()) {
				t.Fatalf("%q: %v, %d, %v", b[:n], from, size, err)
			}
			if decided && (size != last || size == 0 && err == nil) {
				t.Fatalf("%q: %d, and before it %d", b[:n], size, last)
			}
			decided, last = size != 0 || err != nil, size
		}
		if len(b) == proxyV2Head+proxyV2Max && !decided {
			t.Fatalf("%q: nothing decided", b)
		}
	})
}

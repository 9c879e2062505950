package port

import "testing"

// record is one DTLS 1.2 record with a body of the given bytes.
func record(contentType byte, epoch uint16, body ...byte) []byte {
	return append([]byte{contentType, 0xfe, 0xfd, byte(epoch >> 8), byte(epoch), 0, 0, 0, 0, 0, 9, 0, byte(len(body))}, body...)
}

func TestAcceptDTLS(t *testing.T) {
	handshake := record(dtlsHandshake, 0, 1, 2, 3)
	for _, c := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"handshake in epoch 0", handshake, true},
		{"handshake in epoch 1 (Finished)", record(dtlsHandshake, 1, 1, 2, 3), true},
		{"two records in one datagram", append(record(dtlsHandshake, 0, 1), record(dtlsChangeCipherSpec, 0, 1)...), true},
		{"ChangeCipherSpec", record(dtlsChangeCipherSpec, 0, 1), true},
		{"encrypted alert", record(dtlsAlert, 1, 1, 2), true},
		{"encrypted application data", record(dtlsApplicationData, 1, 1), true},

		{"epoch-0 application data", record(dtlsApplicationData, 0, 1, 2, 3, 4, 5), false},
		{"epoch-0 alert", record(dtlsAlert, 0, 2, 40), false},
		{"ChangeCipherSpec with another body", record(dtlsChangeCipherSpec, 0, 7), false},
		{"ChangeCipherSpec of two bytes", record(dtlsChangeCipherSpec, 0, 1, 1), false},
		{"ChangeCipherSpec in epoch 1", record(dtlsChangeCipherSpec, 1, 1), false},
		{"unknown content type 24", record(24, 0, 1), false},
		{"unknown content type 63", record(63, 1, 1), false},
		{"third epoch", record(dtlsHandshake, 2, 1), false},
		{"empty handshake", record(dtlsHandshake, 0), false},
		{"record longer than the datagram", handshake[:len(handshake)-1], false},
		{"trailing byte", append(record(dtlsHandshake, 0, 1), 22), false},
		{"good record, then a bad one", append(record(dtlsHandshake, 0, 1), record(dtlsApplicationData, 0, 1)...), false},
		{"not DTLS (TLS version)", []byte{22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, false},
		{"header only, cut", handshake[:12], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := acceptDTLS(c.b); got != c.want {
				t.Errorf("acceptDTLS = %v, want %v", got, c.want)
			}
		})
	}
}

func TestClassify(t *testing.T) {
	// RFC 7983 section 7, figure 3, but for 80 to 127, which were channels before it.
	for _, c := range []struct {
		from, to byte
		want     class
	}{
		{0, 3, classSTUN}, {4, 15, classUnknown}, {16, 19, classUnknown}, {20, 63, classDTLS},
		{64, 127, classTURNChannel}, {128, 191, classMedia}, {192, 255, classUnknown},
	} {
		for b := int(c.from); b <= int(c.to); b++ {
			if got := classify(byte(b)); got != c.want {
				t.Errorf("classify(%d) = %d, want %d", b, got, c.want)
			}
		}
	}
}

func TestSTUNMethod(t *testing.T) {
	for _, c := range []struct {
		name        string
		messageType uint16
		want        uint16
	}{
		{"Binding request", 0x0001, 0x001},
		{"Binding success response", 0x0101, 0x001},
		{"Binding error response", 0x0111, 0x001},
		{"Allocate request", 0x0003, 0x003},
		{"Send indication", 0x0016, 0x006},
		{"ChannelBind request", 0x0009, 0x009},
	} {
		if got := stunMethod(c.messageType); got != c.want {
			t.Errorf("%s: method %#x, want %#x", c.name, got, c.want)
		}
	}
}

// FuzzFilter: no datagram panics, and what is accepted is a sequence of whole records.
func FuzzFilter(f *testing.F) {
	f.Add(record(dtlsHandshake, 0, 1, 2, 3))
	f.Add(append(record(dtlsHandshake, 0, 1), record(dtlsChangeCipherSpec, 0, 1)...))
	f.Add(record(dtlsApplicationData, 0, 1, 2, 3, 4, 5))
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Fuzz(func(t *testing.T, b []byte) {
		if acceptDTLS(b) {
			for rest := b; len(rest) > 0; {
				n := 13 + int(rest[11])<<8 + int(rest[12])
				if n > len(rest) || rest[0] < 20 || rest[0] > 23 {
					t.Fatalf("accepted a record of type %d that does not fit", rest[0])
				}
				rest = rest[n:]
			}
		}
		if _, ok := stunType(b); ok && len(b) < stunHeaderLen {
			t.Fatal("accepted a STUN message without a header")
		}
	})
}

func BenchmarkAcceptDTLS(b *testing.B) {
	r := record(dtlsApplicationData, 1, make([]byte, 200)...)
	b.ReportAllocs()
	for b.Loop() {
		acceptDTLS(r)
	}
}

package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
)

// TestControlVector is RFC 7714 section 17.1, whose key and salt are those of the session.
func TestControlVector(t *testing.T) {
	g, err := newGCM(make([]byte, gcmKeyBytes), make([]byte, gcmSaltBytes))
	if err != nil {
		t.Fatal(err)
	}
	g.aead = aeadOf(t, unhex(t, "000102030405060708090a0b0c0d0e0f"))
	copy(g.salt[:], unhex(t, "517569642070726f2071756f"))
	sealed := unhex(t, "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda"+
		"4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4")
	const want = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
	index, err := controlIndex(sealed)
	if err != nil || index != 0x5d4 {
		t.Fatalf("index %x: %v", index, err)
	}
	if got, err := g.openControl(bytes.Clone(sealed), index); err != nil || hex.EncodeToString(got) != want {
		t.Errorf("got %x, %v", got, err)
	}
	room := append(make([]byte, 0, len(sealed)), unhex(t, want)...)
	if got := g.sealControl(room, index); !bytes.Equal(got, sealed) {
		t.Errorf("sealed %x", got)
	}
	for i := range sealed { // every bit is authenticated
		b := bytes.Clone(sealed)
		b[i] ^= 1 << (i % 8)
		if index, err := controlIndex(b); err == nil {
			if _, err := g.openControl(b, index); err == nil {
				t.Errorf("opened with byte %d changed", i)
			}
		}
	}
}

// What pion seals is opened once, in any order of the window, and not when it is a copy, cut off, sealed with
// other keys or not sealed at all.
func TestControlIsPions(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	var sent [][]byte
	for range 200 {
		sealed := e.report(t, 7)
		sent = append(sent, bytes.Clone(sealed))
	}
	random := rand.New(rand.NewPCG(5, 6))
	for _, block := range [][2]int{{0, 60}, {60, 120}, {120, 180}} {
		for _, i := range random.Perm(block[1] - block[0]) {
			e.receive(bytes.Clone(sent[block[0]+i]))
		}
	}
	if len(r.packets) != 180 {
		t.Fatalf("%d of 180 came through", len(r.packets))
	}
	refused := map[string][]byte{
		"a copy": sent[179], "an old copy": sent[130], "beyond the window": sent[0],
		"cut off": sent[190][:len(sent[190])-1], "nothing but a header": sent[191][:8], "shorter than its tag": sent[192][:27],
		"not sealed": append(bytes.Clone(sent[193][:len(sent[193])-4]), 0, 0, 0, 194),
	}
	for name, b := range refused {
		e.receive(bytes.Clone(b))
		if len(r.packets) != 180 {
			t.Fatalf("%s was taken", name)
		}
	}
	e.receive(bytes.Clone(sent[199]))
	e.receive(bytes.Clone(sent[198]))
	if len(r.packets) != 182 {
		t.Errorf("what came after was not: %d", len(r.packets))
	}
}

// What is sealed pion opens, each compound with an index of its own, whoever it is from.
func TestControlForPion(t *testing.T) {
	e := establish(t, &recorder{})
	for i := range 300 {
		sender := uint32(1 + i%3)
		if err := e.WriteRTCP(&rtcp.ReceiverReport{SSRC: sender}, &rtcp.PictureLossIndication{MediaSSRC: uint32(i)}); err != nil {
			t.Fatal(err)
		}
		sent := e.port.sent[len(e.port.sent)-1]
		if got := binary.BigEndian.Uint32(sent[len(sent)-4:]); got != 1<<31|uint32(i) {
			t.Fatalf("compound %d has the index %x", i, got)
		}
		plain, err := e.open.DecryptRTCP(nil, sent, nil)
		if err != nil {
			t.Fatal(err)
		}
		packets, err := rtcp.Unmarshal(plain)
		if err != nil || len(packets) != 2 || packets[0].(*rtcp.ReceiverReport).SSRC != sender || packets[1].(*rtcp.PictureLossIndication).MediaSSRC != uint32(i) {
			t.Fatalf("pion opens %v, %v", packets, err)
		}
	}
	e.out.index = lastControlIndex
	before := len(e.port.sent)
	for i, want := range []error{nil, errExhausted, errExhausted} { // an index is never used twice
		if err := e.WriteRTCP(&rtcp.ReceiverReport{SSRC: 1}); !errors.Is(err, want) {
			t.Errorf("compound %d behind the last but one: %v", i, err)
		}
	}
	if len(e.port.sent) != before+1 {
		t.Errorf("%d were sent", len(e.port.sent)-before)
	}
	long := make([]rtcp.Packet, 100)
	for i := range long {
		long[i] = &rtcp.SenderReport{}
	}
	if err := e.WriteRTCP(long...); !errors.Is(err, errTooLarge) {
		t.Errorf("2,800 bytes: %v", err)
	}
}

func TestReplays(t *testing.T) {
	r := &replays{}
	for _, tt := range []struct {
		index uint32
		fresh bool
	}{{5, true}, {5, false}, {4, true}, {4, false}, {68, true}, {5, false}, {6, true}, {6, false}, {1 << 30, true}, {68, false}, {1<<30 - 63, true}, {1<<30 - 64, false}} {
		if got := r.fresh(tt.index); got != tt.fresh {
			t.Errorf("%d: fresh %t", tt.index, got)
		}
		if tt.fresh {
			r.mark(tt.index)
		}
	}
}

// report seals a report of a sender.
func (e *established) report(t testing.TB, sender uint32) []byte {
	t.Helper()
	plain, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: sender}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := e.seal.EncryptRTCP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func BenchmarkControlIn(b *testing.B) {
	e := establish(b, &sunk{})
	plain, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 7, Reports: make([]rtcp.ReceptionReport, 2)}})
	if err != nil {
		b.Fatal(err)
	}
	for _, pion := range []bool{false, true} {
		b.Run(map[bool]string{true: "pion", false: "ours"}[pion], func(b *testing.B) {
			key := append([]byte{1}, make([]byte, 27)...)
			theirs, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAeadAes128Gcm, srtp.SRTCPReplayProtection(64))
			if err != nil {
				b.Fatal(err)
			}
			e.in.senders[7] = &replays{}
			e.seal.SetIndex(7, 0)
			for range b.N {
				b.StopTimer()
				sealed, err := e.seal.EncryptRTCP(nil, plain, nil)
				b.StartTimer()
				if err != nil {
					b.Fatal(err)
				}
				if pion {
					_, err = theirs.DecryptRTCP(sealed[:0], sealed, nil)
				} else if opened, index, ok := e.in.openControl(e.in.senders[7], sealed); ok {
					e.in.senders[7].mark(index)
					_ = opened
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package transport

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/pion/srtp/v3"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func aeadOf(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// TestGCMVector is RFC 7714 section 16.1.1, whose key and salt are those of the session.
func TestGCMVector(t *testing.T) {
	g := &gcm{aead: aeadOf(t, unhex(t, "000102030405060708090a0b0c0d0e0f"))}
	copy(g.salt[:], unhex(t, "517569642070726f2071756f"))
	plain := unhex(t, "8040f17b8041f8d35501a0b2"+"47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573")
	want := "8040f17b8041f8d35501a0b2" + "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
	b := append(make([]byte, 0, 200), plain...)
	if got := hex.EncodeToString(g.seal(b, 12, 0x5501a0b2, 0xf17b)); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// What is sealed here opens with pion's context, over three rollovers, with late packets.
func TestGCMIsPions(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	key := make([]byte, 28)
	for i := range key {
		key[i] = byte(random.Uint32())
	}
	g, err := newGCM(key[:16], key[16:])
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	const ssrc = 0xcafe0001
	var numbers once
	at := uint64(65000)
	for range 4000 {
		seq := uint16(at)
		if random.IntN(5) == 0 {
			seq -= uint16(random.IntN(20))
		}
		at += uint64(random.IntN(100))
		index, ok := numbers.take(seq)
		if !ok {
			continue
		}
		plain := make([]byte, 12+random.IntN(1200), 1500)
		copy(plain, []byte{0x80, 96, byte(seq >> 8), byte(seq), 0, 0, 0, 1, 0xca, 0xfe, 0, 1})
		for i := 12; i < len(plain); i++ {
			plain[i] = byte(random.Uint32())
		}
		sealed := g.seal(append(make([]byte, 0, 1500), plain...), 12, ssrc, index)
		if back, err := g.open(bytes.Clone(sealed), 12, ssrc, index); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("index %d: not opened: %v", index, err)
		}
		sealed[random.IntN(len(sealed))] ^= 1
		if _, err := g.open(bytes.Clone(sealed), 12, ssrc, index); err == nil {
			t.Fatalf("index %d: opened with a flipped bit", index)
		}
		opened, err := theirs.DecryptRTP(nil, g.seal(append(make([]byte, 0, 1500), plain...), 12, ssrc, index), nil)
		if err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("index %d: %v", index, err)
		}
	}
}

func TestGCMRefusesOtherKeys(t *testing.T) {
	if _, err := newGCM(make([]byte, 32), make([]byte, 12)); err == nil {
		t.Error("a key of 32 bytes was taken")
	}
	if _, err := newGCM(make([]byte, 16), make([]byte, 14)); err == nil {
		t.Error("a salt of 14 bytes was taken")
	}
}

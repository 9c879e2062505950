package seal_test

import (
	"bytes"
	"io"
	"testing"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/seal"
)

// secret opens what the fuzz target is seeded with, so that payloads are reached.
const secret = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

// FuzzInspect: our reader and stock age agree on what is intact and on what is released.
func FuzzInspect(f *testing.F) {
	id, err := age.ParseX25519Identity(secret)
	if err != nil {
		f.Fatal(err)
	}
	whole, header := part(f, id.Recipient(), pattern(100))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:header])
	empty, _ := part(f, id.Recipient(), nil)
	f.Add(empty)
	long, _ := part(f, id.Recipient(), pattern(chunk+10))
	f.Add(long)
	f.Add([]byte("age-encryption.org/v1\n--- \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		rep, err := seal.Inspect(bytes.NewReader(b), &out, id)
		r, want := age.Decrypt(bytes.NewReader(b), id)
		if (err == nil) != (want == nil) {
			// age reads the nonce only with the first byte.
			if err == nil || want != nil {
				t.Fatalf("header: %v, age: %v", err, want)
			}
			return
		}
		if err != nil {
			return
		}
		plain, want := io.ReadAll(r)
		if (rep.Damage == seal.Intact) != (want == nil) || !bytes.Equal(plain, out.Bytes()) {
			t.Fatalf("%v with %d bytes, age: %v with %d", rep, out.Len(), want, len(plain))
		}
	})
}

// FuzzParseRecipients: never panics, and what is accepted seals.
func FuzzParseRecipients(f *testing.F) {
	f.Add("age1pq1x", tagged)
	f.Add("age1yubikey1q", "AGE-PLUGIN-")
	f.Add("age1", "age11")
	f.Fuzz(func(t *testing.T, a, b string) {
		r, err := seal.ParseRecipients([]string{a, b})
		if err != nil {
			return
		}
		if _, err := seal.NewKey(r); err != nil {
			t.Fatal(err)
		}
	})
}

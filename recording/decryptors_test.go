package recording_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Programs of others that decrypt, which make puts here.
const (
	ageProgram = "../.tools/age"
	typage     = "../.tools/typage/node_modules/age-encryption/dist/index.js"
)

// typageScript decrypts a file with the identity in another to standard output. Of a file that was cut it
// prints what came before, as age does.
const typageScript = `
import { Decrypter } from %MODULE%
import { readFileSync, writeSync } from "node:fs"
const d = new Decrypter()
for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  if (line.startsWith("AGE-SECRET-KEY-")) d.addIdentity(line.trim())
}
const file = new Blob([readFileSync(process.argv[3])]).stream()
try {
  for await (const chunk of await d.decrypt(file)) {
    for (let at = 0; at < chunk.length;) at += writeSync(1, chunk, at)
  }
} catch (e) {
  process.stderr.write(String(e))
  process.exit(1)
}
`

// TestOtherPrograms opens a recording with two programs that are not ours, as seal/format.md says: first
// the key with the hospital's, then a part with the key. What they give is what we give; of a part that
// was cut, up to the cut, with an error.
func TestOtherPrograms(t *testing.T) {
	h := newHospital(t)
	dir, m := two(t, h)
	hospital := filepath.Join(t.TempDir(), "hospital.key")
	if err := os.WriteFile(hospital, []byte("# records\n"+h.records.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sealed := filepath.Join(dir, m.ID, m.ID+".key.age")
	whole := filepath.Join(dir, m.ID, partName(m.ID, 0))
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.mkv.age")
	if err := os.WriteFile(cut, b[:len(b)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := unsealed(t, dir, m.ID, 0, h)
	if err != nil {
		t.Fatal(err)
	}
	for name, decrypt := range map[string]func(t *testing.T, key, file string) ([]byte, error){"age": ageDecrypt, "age-encryption for JavaScript": typageDecrypt} {
		t.Run(name, func(t *testing.T) {
			secret, err := decrypt(t, hospital, sealed)
			if err != nil {
				t.Fatal(err)
			}
			key := filepath.Join(t.TempDir(), "R.key")
			if err := os.WriteFile(key, secret, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := decrypt(t, key, whole); err != nil || !bytes.Equal(got, want) {
				t.Errorf("whole: %d bytes of %d, %v", len(got), len(want), err)
			}
			got, err := decrypt(t, key, cut)
			if err == nil || !bytes.HasPrefix(want, got) || len(got) < len(want)/2-64<<10 {
				t.Errorf("cut: %d bytes of %d, %v", len(got), len(want), err)
			}
			if _, err := decrypt(t, hospital, whole); err == nil {
				t.Error("the hospital's key opens a part without the recording's")
			}
		})
	}
}

func ageDecrypt(t *testing.T, key, file string) ([]byte, error) {
	t.Helper()
	if _, err := os.Stat(ageProgram); err != nil {
		t.Skip("SKIPPED for want of .tools/age, which make test puts there")
	}
	return output(exec.Command(ageProgram, "-d", "-i", key, file))
}

func typageDecrypt(t *testing.T, key, file string) ([]byte, error) {
	t.Helper()
	module, err := filepath.Abs(typage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(module); err != nil {
		t.Skip("SKIPPED for want of node, npm or the npm registry: age-encryption for JavaScript opens nothing")
	}
	script := filepath.Join(t.TempDir(), "decrypt.mjs")
	if err := os.WriteFile(script, bytes.ReplaceAll([]byte(typageScript), []byte("%MODULE%"), []byte(`"file://`+module+`"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	return output(exec.Command("node", script, key, file))
}

func output(c *exec.Cmd) ([]byte, error) {
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return out.Bytes(), errors.Join(err, errors.New(errs.String()))
	}
	return out.Bytes(), nil
}

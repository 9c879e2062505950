package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// containerParts makes what the Containerfile's context holds.
func containerParts(t *testing.T) string {
	t.Helper()
	context := t.TempDir()
	content, err := os.ReadFile(bedside(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(context, "bedside"), content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(context, "data/bedside"), 0o700); err != nil {
		t.Fatal(err)
	}
	return context
}

func TestContainer(t *testing.T) {
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("SKIPPED: no buildah here: the container image is not built")
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root builds an image without a user namespace")
	}
	storage := t.TempDir()
	buildah := func(args ...string) string {
		t.Helper()
		c := exec.Command("buildah", append([]string{"--storage-driver", "vfs", "--root", storage + "/root", "--runroot", storage + "/run"}, args...)...)
		var errs strings.Builder
		c.Stderr = &errs
		out, err := c.Output()
		if err != nil {
			t.Fatalf("buildah %v: %v\n%s", args, err, errs.String())
		}
		return strings.TrimSpace(string(out))
	}
	buildah("build", "--isolation", "chroot", "--file", "Containerfile", "--tag", "bedside", containerParts(t))
	var image struct {
		OCIv1 struct {
			Config struct {
				User         string
				Entrypoint   []string
				Cmd          []string
				Volumes      map[string]struct{}
				ExposedPorts map[string]struct{}
			} `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(buildah("inspect", "--type", "image", "bedside")), &image); err != nil {
		t.Fatal(err)
	}
	c := image.OCIv1.Config
	if c.User != "65532:65532" || !slices.Equal(append(c.Entrypoint, c.Cmd...), []string{"/bedside", "serve", "--config", "/etc/bedside/bedside.yaml"}) {
		t.Errorf("runs %v %v as %q", c.Entrypoint, c.Cmd, c.User)
	}
	if _, volume := c.Volumes["/var/lib/bedside"]; !volume || len(c.ExposedPorts) != 2 {
		t.Errorf("volumes %v, ports %v", c.Volumes, c.ExposedPorts)
	}
	container := buildah("from", "bedside")
	root := buildah("mount", container)
	defer buildah("rm", container)
	info, err := os.Stat(filepath.Join(root, "var/lib/bedside"))
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 65532 || info.Mode().Perm() != 0o700 {
		t.Errorf("the volume belongs to %d with mode %#o", s.Uid, info.Mode().Perm())
	}
	// The program runs where there is nothing else, as the image's user.
	version := exec.Command("/bedside", "version")
	version.Dir = "/"
	version.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	if out, err := version.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "bedside ") {
		t.Errorf("in the image: %v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if !slices.Equal(files, []string{"bedside", "var"}) {
		t.Errorf("the image holds %v", files)
	}
}

// What a Containerfile must not do, seen without building it.
func TestContainerfile(t *testing.T) {
	text := read(t, "Containerfile")
	for _, want := range []string{"\nFROM scratch\n", "\nUSER 65532:65532\n", "\nVOLUME /var/lib/bedside\n", "--chmod=0555 bedside"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, never := range []string{"\nRUN ", "\nADD ", "USER root", ":latest", "http://", "curl"} {
		if strings.Contains(text, never) {
			t.Errorf("holds %q", never)
		}
	}
}

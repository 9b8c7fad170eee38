package debian

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/hostexec"
)

const packages = `Package: bash
Version: 5

Package: linux-image-6.1.0-9-cloud-amd64
Version: 6.1.9
Description: a kernel
 with lines

Package: linux-image-6.1.0-9-amd64
Version: 6.1.9

Package: linux-image-cloud-amd64
Depends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.9)
`

func TestKeepKernels(t *testing.T) {
	var out strings.Builder
	if err := keepKernels(&out, strings.NewReader(packages)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "Package: "); got != 2 || !strings.Contains(out.String(), " with lines\n\n") ||
		!strings.HasSuffix(out.String(), "(= 6.1.9)\n") || strings.Contains(out.String(), "bash") {
		t.Errorf("kept:\n%s", out.String())
	}
	if err := keepKernels(&out, strings.NewReader(strings.Repeat("x", maxStanza+1))); err == nil {
		t.Error("a stanza without an end was taken")
	}
}

func TestLists(t *testing.T) {
	apt, cache := t.TempDir(), t.TempDir()
	const list = "mirror_debian_dists_bookworm_main_binary-amd64_Packages"
	for name, body := range map[string]string{list + ".lz4": packages, "mirror_debian_dists_bookworm_InRelease": "Codename: bookworm\n"} {
		if err := os.WriteFile(filepath.Join(apt, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rec := &hostexec.Recorder{Reply: func(_ context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
		if cmd.Name == "apt-get" {
			return hostexec.Result{Stdout: []byte(filepath.Join(apt, list+".lz4") + "\n")}, nil
		}
		_, err := cmd.Stdout.Write([]byte(packages))
		return hostexec.Result{}, err
	}}
	m := New(Config{Dir: cache}, rec, slog.New(slog.DiscardHandler))
	for range 2 { // the second comes from the cache
		dir, err := m.Lists(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(filepath.Join(dir, list))
		if err != nil || strings.Count(string(body), "Package: ") != 2 {
			t.Errorf("the list is %q, %v", body, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "mirror_debian_dists_bookworm_InRelease")); err != nil {
			t.Error(err)
		}
	}
	if n := len(rec.Commands()); n != 3 {
		t.Errorf("%d commands: %s", n, rec)
	}
}

package auth

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/credential"
)

// rig is a home, beside something, and a reader of it.
type rig struct {
	*reader
	outside string
	notes   []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	top := t.TempDir()
	r := &rig{outside: filepath.Join(top, "outside")}
	home := filepath.Join(top, "home")
	r.reader = &reader{home: home, note: func(format string, args ...any) { r.notes = append(r.notes, fmt.Sprintf(format, args...)) }}
	if err := errors.Join(
		os.MkdirAll(filepath.Join(home, "dir"), 0o755), os.Mkdir(r.outside, 0o755),
		os.WriteFile(filepath.Join(home, "good"), []byte("good"), 0o600),
		os.WriteFile(filepath.Join(r.outside, "far"), []byte("far"), 0o600),
		os.WriteFile(filepath.Join(home, "sealed"), []byte("x"), 0),
		os.Symlink("good", filepath.Join(home, "near")),
		os.Symlink(filepath.Join(r.outside, "far"), filepath.Join(home, "away")),
		os.Symlink(r.outside, filepath.Join(home, "awaydir")),
		os.Symlink("nowhere", filepath.Join(home, "dangling")),
		syscall.Mkfifo(filepath.Join(home, "pipe"), 0o600),
		os.WriteFile(filepath.Join(home, "huge"), nil, 0o600), os.Truncate(filepath.Join(home, "huge"), 1<<30),
		os.WriteFile(filepath.Join(home, "just"), make([]byte, credential.MaxFile), 0o600),
		os.WriteFile(filepath.Join(home, "over"), make([]byte, credential.MaxFile+1), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return r
}

// bad are files that are given to no VM, and why.
func bad() map[string]string {
	all := map[string]string{
		"dir": "it is a directory", "away": "it is a link that leads out of your home", "awaydir/far": "it is a link that leads out of your home",
		"dangling": "it is not there", "missing": "it is not there", "pipe": "it is no regular file",
		"huge": "it is larger than 256 KiB", "over": "it is larger than 256 KiB", "good/below": "not a directory",
	}
	if os.Geteuid() != 0 {
		all["sealed"] = "permission denied"
	}
	return all
}

// A file that was asked for and cannot be given is refused, one of config.toml is
// left out and told of.
func TestBadFiles(t *testing.T) {
	r := newRig(t)
	for name, why := range bad() {
		path := filepath.Join(r.home, name)
		if err := r.askedFor([]string{path}); err == nil || !strings.HasSuffix(err.Error(), path+" cannot be given to a VM: "+why) {
			t.Errorf("%s: %v", name, err)
		}
		r.notes = nil
		r.configured([]credential.Source{{Host: "~/" + name}})
		if want := "~/" + name + " is not given to the VM: " + why; !slices.Equal(r.notes, []string{want}) {
			t.Errorf("%s: %q", name, r.notes)
		}
	}
	if len(r.auth.Files) > 0 {
		t.Errorf("%+v", r.auth.Files)
	}
	for text, why := range map[string]string{
		"a\xff": "it is not UTF-8", ":x": "the file is empty", filepath.Join(r.home, "good") + ":x/../../y": "has .. in it",
		filepath.Join(r.outside, "far"): "it is not in your home", r.home: "it is not in your home",
	} {
		if err := r.askedFor([]string{text}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What cannot be read says so; this is nobody's to read, not even root's.
func TestUnreadable(t *testing.T) {
	r := newRig(t)
	if err := r.askedFor([]string{"/proc/self/mem:~/x"}); err == nil || !strings.HasSuffix(err.Error(), "/proc/self/mem cannot be given to a VM: input/output error") {
		t.Error(err)
	}
}

func TestGoodFiles(t *testing.T) {
	r := newRig(t)
	far := filepath.Join(r.outside, "far")
	if err := r.askedFor([]string{"~/good", filepath.Join(r.home, "near") + ":~/n", far + ":/etc/far"}); err != nil {
		t.Fatal(err)
	}
	r.configured([]credential.Source{{Host: "~/dir/../near", Guest: "~/n"}, {Host: far, Guest: "f", Mode: 0o644}})
	var got []string
	for _, f := range r.auth.Files {
		got = append(got, fmt.Sprintf("%s %o %s", f.Path, f.Mode, f.Data))
	}
	if want := []string{"~/good 600 good", "~/n 600 good", "/etc/far 600 far", "~/f 644 far"}; !slices.Equal(got, want) || len(r.notes) > 0 {
		t.Errorf("%q, %q", got, r.notes)
	}
}

func TestBounds(t *testing.T) {
	r := newRig(t)
	just := filepath.Join(r.home, "just")
	if err := r.askedFor([]string{just + ":a", just + ":b"}); err != nil {
		t.Fatal(err)
	}
	r.configured([]credential.Source{{Host: "~/good"}})
	if len(r.notes) != 1 || !strings.Contains(r.notes[0], "with it, all files are larger than 512 KiB") {
		t.Errorf("%q", r.notes)
	}
	r = newRig(t)
	for i := range credential.MaxFiles {
		if err := r.askedFor([]string{fmt.Sprintf("~/good:%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.askedFor([]string{"~/good"}); err == nil || !strings.Contains(err.Error(), "more than 32 files") {
		t.Error(err)
	}
}

// A link to the home itself leads nowhere else.
func TestHomeIsALink(t *testing.T) {
	r := newRig(t)
	link := filepath.Join(r.outside, "home")
	if err := os.Symlink(r.home, link); err != nil {
		t.Fatal(err)
	}
	r.home = link
	if data, err := r.read(filepath.Join(link, "near")); err != nil || string(data) != "good" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestKeys(t *testing.T) {
	r := newRig(t)
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0EzFVqUsMqLfnGhO7hyjwDuJH0g8yT5o2HIcWHSZlu"
	if got := r.keys(); got == nil || len(got) > 0 {
		t.Errorf("%q", got)
	}
	dir := filepath.Join(r.home, ".ssh")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "x.pub"), 0o700), syscall.Mkfifo(filepath.Join(dir, "p.pub"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for i := range credential.MaxKeys + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.pub", i)), fmt.Appendf(nil, "%s %d\n# more\n", key, i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "00-cert.pub"), []byte("ssh-ed25519-cert-v01@openssh.com AAAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := r.keys()
	if len(got) != credential.MaxKeys || got[0] != key+" 0" || got[15] != key+" 15" || len(r.notes) != 1 {
		t.Errorf("%q, %q", got, r.notes)
	}
	r.home = ""
	if got := r.keys(); got != nil {
		t.Errorf("%q", got)
	}
}

// git that hangs, fails, is not there or says nonsense keeps nobody.
func TestOddGit(t *testing.T) {
	r := newRig(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if who := r.git(t.Context()); who == nil || *who != (api.GitIdentity{}) || len(r.notes) > 0 {
		t.Errorf("%+v, %q", who, r.notes)
	}
	for _, c := range []struct{ script, note string }{
		{"exit 1", ""},
		{"exit 3", "git does not say who you are"},
		{"exec /bin/sleep 60", "within 2s"},
		{`printf 'user.name\na\nb\0'`, "the VM's git does not know who you are"},
		{`printf 'user.name\n\0'`, ""},
	} {
		r.notes = nil
		if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		who := r.git(t.Context())
		if (who == nil) != (c.note != "") || who != nil && *who != (api.GitIdentity{}) || (c.note == "") != (len(r.notes) == 0) || !strings.Contains(strings.Join(r.notes, ""), c.note) {
			t.Errorf("%q: %+v, %q", c.script, who, r.notes)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\nprintf 'user.name\\nx\\0user.name\\nAda\\0user.email\\na@b\\0'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if who := r.git(t.Context()); who == nil || *who != (api.GitIdentity{Name: "Ada", Email: "a@b"}) {
		t.Errorf("%+v", who)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("[auth]\ngit = true\n[[auth.credential]]\nhost = \"~/x\"\nmode = \"0600\"\n"))
	f.Add([]byte("auth = 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSettings(path)
		if err == nil && s.Check() != nil {
			t.Errorf("%+v was taken", s)
		}
	})
}

package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/login"
)

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0EzFVqUsMqLfnGhO7hyjwDuJH0g8yT5o2HIcWHSZlu me"

// guest is a root in a directory, with a user dev, beside something that nothing
// in it may lead to.
type guest struct {
	t             *testing.T
	root, outside string
	*Giver
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	top := t.TempDir()
	g := &guest{t: t, root: filepath.Join(top, "root"), outside: filepath.Join(top, "outside")}
	for _, dir := range []string{"root/etc/ssh", "root/home/dev", "root/run", "outside"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g.write("etc/passwd", fmt.Sprintf("dev:x:%d:%d::/home/dev:/bin/sh\n", os.Geteuid(), os.Getegid()))
	g.Giver = New(login.New(filepath.Join(g.root, "etc")), Config{Root: g.root})
	return g
}

func (g *guest) path(name string) string { return filepath.Join(g.root, name) }

func (g *guest) write(name, text string) {
	g.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(g.path(name)), 0o755), os.WriteFile(g.path(name), []byte(text), 0o600)); err != nil {
		g.t.Fatal(err)
	}
}

// read follows a link of ours as the guest does, whose root this is; "-" is
// nothing there.
func (g *guest) read(name string) string {
	g.t.Helper()
	path := g.path(name)
	if to, err := os.Readlink(path); err == nil {
		path = g.path(to)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

func file(path, text string) credential.File {
	return credential.File{Path: path, Mode: 0o600, Data: credential.Secret(text)}
}

func files(all ...credential.File) wire.Auth {
	return wire.Auth{ID: "1", Set: credential.Set{Files: all}}
}

// well gives dev what must fit without a word.
func (g *guest) well(a wire.Auth) {
	g.t.Helper()
	r := g.Give("dev", a)
	if len(r.Problems) > 0 || strings.Join(r.Files, "") != "" || len(r.Files) != len(a.Files) {
		g.t.Errorf("%+v", r)
	}
}

// inRun lists the files that are kept on the tmpfs.
func (g *guest) inRun() (names []string) {
	g.t.Helper()
	all, err := os.ReadDir(g.path(runDir))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

func TestFilesAreLinksToATmpfs(t *testing.T) {
	g := newGuest(t)
	etc := credential.File{Path: "/etc/npm/npmrc", Mode: 0o644, Data: credential.Secret("registry")}
	g.well(files(file("~/.config/gh/hosts.yml", "token 1"), file("~/.netrc", "machine"), etc))
	for _, name := range []string{"home/dev/.config/gh/hosts.yml", "home/dev/.netrc", "etc/npm/npmrc"} {
		if to, err := os.Readlink(g.path(name)); err != nil || !strings.HasPrefix(to, "/run/banger/auth/") {
			t.Errorf("%s: %q, %v", name, to, err)
		}
	}
	if got := g.read("home/dev/.netrc") + g.read("etc/npm/npmrc"); got != "machineregistry" {
		t.Errorf("%q", got)
	}
	for name, mode := range map[string]fs.FileMode{
		runDir: fs.ModeDir | 0o711, runDir + "/" + kept("~/.netrc"): 0o600, runDir + "/" + kept(etc.Path): 0o644,
		"home/dev/.config/gh": fs.ModeDir | 0o700, "etc/npm": fs.ModeDir | 0o755,
	} {
		if st, err := os.Stat(g.path(name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	// Another content, one that is gone, and one of which nothing is said any more.
	next := files(file("~/.config/gh/hosts.yml", "token 2"))
	next.Gone = []string{"~/.netrc", "~/never.there"}
	g.well(next)
	if got := g.read("home/dev/.config/gh/hosts.yml"); got != "token 2" {
		t.Errorf("%q", got)
	}
	if _, err := os.Lstat(g.path("home/dev/.netrc")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its link stayed: %v", err)
	}
	if all := g.inRun(); !slices.Equal(all, []string{kept("~/.config/gh/hosts.yml")}) {
		t.Errorf("%q", all)
	}
}

// A boot begins with an empty tmpfs, and the links of the last one.
func TestAfterABoot(t *testing.T) {
	g := newGuest(t)
	a := files(file("~/.netrc", "machine"))
	g.well(a)
	if err := os.RemoveAll(g.path(runDir)); err != nil {
		t.Fatal(err)
	}
	g.well(a)
	if got := g.read("home/dev/.netrc"); got != "machine" {
		t.Errorf("%q", got)
	}
	if err := os.RemoveAll(g.path(runDir)); err != nil {
		t.Fatal(err)
	}
	g.well(wire.Auth{ID: "2", Gone: []string{"~/.netrc"}})
	if _, err := os.Lstat(g.path("home/dev/.netrc")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its link stayed: %v", err)
	}
}

// What a program has written to a file stays when another one changes, and goes
// with what the host has new.
func TestWhatIsWrittenStays(t *testing.T) {
	g := newGuest(t)
	g.well(files(file("~/a", "a1"), file("~/b", "b1")))
	write := func() {
		t.Helper()
		g.write(runDir+"/"+kept("~/a"), "refreshed")
	}
	write()
	g.well(files(file("~/a", "a1"), file("~/b", "b2")))
	if got := g.read("home/dev/a") + g.read("home/dev/b"); got != "refreshedb2" {
		t.Errorf("%q", got)
	}
	g.well(files(file("~/a", "a2"), file("~/b", "b2")))
	if got := g.read("home/dev/a"); got != "a2" {
		t.Errorf("%q", got)
	}
	write()
	g.well(wire.Auth{ID: "2", Gone: []string{"~/a"}})
	g.well(files(file("~/a", "a2")))
	if got := g.read("home/dev/a"); got != "a2" {
		t.Errorf("one that was taken away is there again as %q", got)
	}
	write()
	if err := os.Remove(g.path("home/dev/a")); err != nil {
		t.Fatal(err)
	}
	g.well(files(file("~/a", "a2")))
	if got := g.read("home/dev/a"); got != "refreshed" {
		t.Errorf("a new link leads to %q", got)
	}
}

// What is the guest's own is neither overwritten nor removed, whatever it is, and
// no link in the guest leads anywhere.
func TestWhatIsTheGuestsOwnStays(t *testing.T) {
	g := newGuest(t)
	g.write("home/dev/.netrc", "own")
	g.write("home/dev/plain", "own")
	g.write("home/dev/real/x", "own")
	for name, to := range map[string]string{
		"link": filepath.Join(g.outside, "x"), "away": g.outside, "near": "real", "dangling": "/nowhere", "spoof": "/run/banger/other",
	} {
		if err := os.Symlink(to, g.path("home/dev/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	a := files(
		file("~/.netrc", "s"), file("~/link", "s"), file("~/away/x", "s"), file("~/near/y", "s"),
		file("~/plain/below", "s"), file("~/dangling", "s"), file("~/spoof", "s"), file("~/real", "s"), file("~/fits", "fits"), file("/etc/passwd", "s"),
	)
	r := g.Give("dev", a)
	for i, f := range a.Files {
		if got := r.Files[i]; (got == "") != (f.Path == "~/fits") {
			t.Errorf("%s: %q", f.Path, got)
		}
	}
	if got := r.Files[0]; got != errOwn.Error() || len(r.Problems) > 0 {
		t.Errorf("%q, %q", got, r.Problems)
	}
	if all := g.inRun(); !slices.Equal(all, []string{kept("~/fits")}) {
		t.Errorf("%q", all)
	}
	gone := wire.Auth{ID: "2"}
	for _, f := range a.Files {
		gone.Gone = append(gone.Gone, f.Path)
	}
	g.well(gone)
	if got := g.read("home/dev/.netrc") + g.read("home/dev/plain") + g.read("home/dev/real/x"); got != "ownownown" {
		t.Errorf("%q", got)
	}
	if to, err := os.Readlink(g.path("home/dev/dangling")); err != nil || to != "/nowhere" {
		t.Errorf("%q, %v", to, err)
	}
	if left, err := os.ReadDir(g.outside); err != nil || len(left) > 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
	if got := g.read("home/dev/fits"); got != "-" {
		t.Errorf("%q", got)
	}
}

// A program that has put a file of its own in the link's place has made it the
// guest's.
func TestAReplacedLinkIsTheGuests(t *testing.T) {
	g := newGuest(t)
	a := files(file("~/.netrc", "given"))
	g.well(a)
	if err := errors.Join(os.Remove(g.path("home/dev/.netrc")), os.WriteFile(g.path("home/dev/.netrc"), []byte("own"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if r := g.Give("dev", a); r.Files[0] != errOwn.Error() {
		t.Errorf("%+v", r)
	}
	g.well(wire.Auth{ID: "2", Gone: []string{"~/.netrc"}})
	if got := g.read("home/dev/.netrc"); got != "own" {
		t.Errorf("%q", got)
	}
	if all := g.inRun(); len(all) > 0 {
		t.Errorf("%q", all)
	}
}

func TestKeys(t *testing.T) {
	g := newGuest(t)
	const at = "run/banger/auth/authorized_keys"
	g.well(wire.Auth{ID: "1", Set: credential.Set{Keys: []string{key, key}}})
	if got := g.read(at); got != key+"\n"+key+"\n" {
		t.Errorf("%q", got)
	}
	if in, err := os.ReadDir(g.path("etc/ssh")); err != nil || len(in) > 0 {
		t.Errorf("the root knows its user: %v, %v", in, err)
	}
	if st, err := os.Stat(g.path(at)); err != nil || st.Mode() != 0o644 {
		t.Errorf("%v, %v", st, err)
	}
	g.well(wire.Auth{ID: "2"})
	if got := g.read(at); got != "-" {
		t.Errorf("%q", got)
	}
	if err := os.RemoveAll(g.path("etc/ssh")); err != nil {
		t.Fatal(err)
	}
	g.well(wire.Auth{ID: "3", Set: credential.Set{Keys: []string{key}}})
	if got := g.read(at); got != "-" {
		t.Errorf("an image without a server has %q", got)
	}
}

// Nonsense changes nothing, and says so.
func TestNonsenseIsRefused(t *testing.T) {
	g := newGuest(t)
	g.well(files(file("~/a", "a")))
	for name, a := range map[string]wire.Auth{
		"a path that leads out": files(file("~/../x", "")),
		"a path elsewhere":      files(file("/usr/x", "")),
		"one that is gone":      {Gone: []string{"/etc/../x"}},
		"many that are gone":    {Gone: slices.Repeat([]string{"~/x"}, wire.MaxGone+1)},
		"no key":                {Set: credential.Set{Keys: []string{"x"}}},
		"nobody":                {Set: credential.Set{Git: &credential.Git{Name: "a\nb"}}},
	} {
		if r := g.Give("dev", a); len(r.Problems) != 1 || len(r.Files) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := g.Give("nobody-here", files()); len(r.Problems) != 1 {
		t.Errorf("%+v", r)
	}
	if got := g.read("home/dev/a"); got != "a" {
		t.Errorf("%q", got)
	}
}

// The user of a home that cannot be had is told why; the rest is given.
func TestNoHome(t *testing.T) {
	g := newGuest(t)
	for _, home := range []string{"/", "/nowhere", ""} {
		g.write("etc/passwd", fmt.Sprintf("dev:x:%d:%d::%s:/bin/sh\n", os.Geteuid(), os.Getegid(), home))
		g.Giver = New(login.New(g.path("etc")), Config{Root: g.root})
		r := g.Give("dev", files(file("~/a", "a"), file("/etc/b", "b")))
		if len(r.Files) != 2 || r.Files[0] == "" || r.Files[1] != "" || len(r.Problems) > 0 {
			t.Errorf("%q: %+v", home, r)
		}
	}
}

func TestReasonsAreFitForTheHost(t *testing.T) {
	got := reason(errors.New("a\nb\x00" + strings.Repeat("é", 200)))
	if len(got) > wire.MaxReason || !strings.HasPrefix(got, "a b é") || strings.ToValidUTF8(got, "?") != got {
		t.Errorf("%q", got)
	}
}

// git itself, where there is one, reads what was written.
func TestGit(t *testing.T) {
	g := newGuest(t)
	who := &credential.Git{Name: `Ada "the \ first" # L`, Email: "ada@example.org"}
	ask := func(key string) string {
		t.Helper()
		// The include names a path of the guest's root.
		text := strings.ReplaceAll(g.read(systemConfig), "/"+runDir, g.path(runDir))
		at := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("git", "config", "--includes", "--file", at, "--get", key)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Skip("there is no git here: ", err)
		}
		return strings.TrimSuffix(string(out), "\n")
	}
	g.well(wire.Auth{ID: "1", Set: credential.Set{Git: who}})
	for key, want := range map[string]string{"user.name": who.Name, "user.email": who.Email, "commit.gpgsign": "false", "tag.gpgSign": "false"} {
		if got := ask(key); got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
	g.well(wire.Auth{ID: "2"})
	if got := g.read(systemConfig) + g.read(runDir+"/"+gitConfig); got != "--" {
		t.Errorf("%q", got)
	}
	// A file that the image has is kept, and counts more.
	const own = "[user]\n\temail = own@example.org\n[core]\n\teditor = vi\n"
	g.write(systemConfig, own)
	for range 2 {
		g.well(wire.Auth{ID: "3", Set: credential.Set{Git: who}})
	}
	if got := g.read(systemConfig); got != include+"\n"+own {
		t.Errorf("%q", got)
	}
	if got := ask("user.email") + " " + ask("user.name"); got != "own@example.org "+who.Name {
		t.Errorf("%q", got)
	}
	g.well(wire.Auth{ID: "4"})
	if got := g.read(systemConfig); got != own {
		t.Errorf("%q", got)
	}
	if err := errors.Join(os.Remove(g.path(systemConfig)), os.Symlink("elsewhere", g.path(systemConfig))); err != nil {
		t.Fatal(err)
	}
	if r := g.Give("dev", wire.Auth{ID: "5", Set: credential.Set{Git: who}}); len(r.Problems) != 1 {
		t.Errorf("%+v", r)
	}
	if to, err := os.Readlink(g.path(systemConfig)); err != nil || to != "elsewhere" {
		t.Errorf("%q, %v", to, err)
	}
}

// Whatever a host says, and whatever the guest's configuration of git is, nothing
// is written outside of the root.
func FuzzGive(f *testing.F) {
	f.Add("~/.netrc", "/etc/x", "name", []byte("[core]\n"))
	f.Add("../x", "~/.ssh/../../x", "\"\n", []byte(include))
	f.Fuzz(func(t *testing.T, path, gone, name string, config []byte) {
		g := newGuest(t)
		g.write(systemConfig, string(config))
		r := g.Give("dev", wire.Auth{ID: "1", Gone: []string{gone}, Set: credential.Set{
			Git: &credential.Git{Name: name}, Files: []credential.File{file(path, "s")},
		}})
		for _, text := range slices.Concat(r.Problems, r.Files) {
			if len(text) > wire.MaxReason {
				t.Errorf("%q is long", text)
			}
		}
		entries, err := os.ReadDir(filepath.Dir(g.root))
		if err != nil || len(entries) != 2 {
			t.Errorf("%v, %v", entries, err)
		}
		if left, err := os.ReadDir(g.outside); err != nil || len(left) > 0 {
			t.Errorf("outside: %v, %v", left, err)
		}
	})
}

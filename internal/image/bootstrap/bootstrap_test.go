package bootstrap

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/operation"
)

const indexes = `Debian|bookworm|main|http://mirror.example/debian/|amd64
Debian|bookworm-security|main|http://sec.example/debian-security/|amd64
`

var update = flag.Bool("update", false, "write the golden files")

// fakeHost is a Debian host whose mmdebstrap is a shell script.
type fakeHost struct {
	*hostexec.Recorder
	script string // mmdebstrap's; $1 is the tree
	index  string
}

// good makes the few files that the image is configured by.
const good = `echo "I: running apt-get update..." >&2
echo "0 upgraded, 2 newly installed, 0 to remove" >&2
for p in a b; do echo "Get:1 $p" >&2; echo "Setting up $p (1) ..." >&2; done
mkdir -p "$1/etc/skel/.config" "$1/etc/ssh" "$1/usr/lib" "$1/var/lib" "$1/etc/apt/apt.conf.d"
echo alias > "$1/etc/skel/.bashrc"; echo secret > "$1/etc/ssh/ssh_host_rsa_key"; echo this-host > "$1/etc/hostname"
echo proxy > "$1/etc/apt/apt.conf.d/99mmdebstrap"
echo 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"' > "$1/usr/lib/os-release"
`

func newHost() *fakeHost {
	h := &fakeHost{script: good, index: indexes}
	h.Recorder = &hostexec.Recorder{Reply: h.reply}
	return h
}

func (h *fakeHost) reply(ctx context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
	switch cmd.Name {
	case "apt-get":
		return hostexec.Result{Stdout: []byte(h.index)}, nil
	case "apt-config":
		return hostexec.Result{Stdout: []byte("Acquire \"\";\nAcquire::http::Proxy \"http://u:p@proxy.example:3128\";\n")}, nil
	case "unshare":
		switch in := cmd.Args[slices.Index(cmd.Args, "--")+1:]; in[0] {
		case "mke2fs":
			return hostexec.Result{}, sparse(in[len(in)-2])
		case "rm":
			return hostexec.Host{}.Run(ctx, hostexec.Cmd{Name: "rm", Args: in[1:]})
		}
		tree := cmd.Args[slices.IndexFunc(cmd.Args, func(a string) bool { return strings.HasSuffix(a, "/root") })]
		return hostexec.Host{}.Run(ctx, hostexec.Cmd{Name: "sh", Args: []string{"-c", h.script, "sh", tree}, Env: cmd.Env, Stderr: cmd.Stderr})
	case "mke2fs":
		return hostexec.Result{}, sparse(cmd.Args[len(cmd.Args)-2])
	case "e2fsck":
		return hostexec.Result{}, nil
	}
	return hostexec.Result{}, fmt.Errorf("unexpected command %s", cmd)
}

// sparse writes 1 GiB with little in it.
func sparse(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("superblock"), 1024)
	_, err2 := f.WriteAt([]byte("last"), 1<<30-4)
	return errors.Join(err, err2, f.Close())
}

func newBuilder(t *testing.T, h *fakeHost, cache string) *Builder {
	t.Helper()
	dir := t.TempDir()
	osRelease, keyring := filepath.Join(dir, "os-release"), filepath.Join(dir, "keys.gpg")
	for path, body := range map[string]string{osRelease: "ID=debian\nVERSION_CODENAME=bookworm\n", keyring: "keys"} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return New(Config{
		CacheDir: cache, OSRelease: osRelease, Keyring: keyring, SubUID: filepath.Join(dir, "subuid"), SubGID: filepath.Join(dir, "subgid"),
	}, h, slog.New(slog.DiscardHandler))
}

func quiet(operation.Progress) {}

// tree lists all files below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files = append(files, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestMake(t *testing.T) {
	h, dir := newHost(), t.TempDir()
	var phases []string
	img, err := newBuilder(t, h, "").Make(t.Context(), dir, func(p operation.Progress) {
		phases = append(phases, strings.TrimSpace(fmt.Sprintf("%s %d/%d %s", p.Phase, p.Done, p.Total, p.Unit)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if img.User != "dev" || img.UID != 1000 || img.OS != "Debian GNU/Linux 12 (bookworm)" || img.SizeBytes != 1<<30 ||
		img.UsedBytes <= 0 || img.UsedBytes > 1<<20 || len(img.Recipe) != 64 {
		t.Fatalf("got %+v", img)
	}
	if diff := cmp.Diff([]string{"root.img", "skel", "skel/.bashrc", "skel/.config"}, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"image: looking for package sources 0/0", "image: reading package lists 0/0",
		"image: downloading 1/2 packages", "image: installing 1/2 packages",
		"image: downloading 2/2 packages", "image: installing 2/2 packages",
		"image: configuring 0/0", "image: making the disk 0/0",
	}
	if diff := cmp.Diff(want, phases); diff != "" {
		t.Error(diff)
	}
	checkGolden(t, h, dir)
}

// checkGolden compares the command lines with those on file.
func checkGolden(t *testing.T, h *fakeHost, dir string) {
	t.Helper()
	got := h.String()
	for _, c := range h.Commands() {
		for _, a := range c.Args {
			if at := strings.Index(a, "/"+scratchPrefix); at >= 0 {
				scratch, _, _ := strings.Cut(a[at+1:], "/")
				got = strings.ReplaceAll(got, scratch, "SCRATCH")
			}
			if _, keys, ok := strings.Cut(a, "signed-by="); ok {
				keys, _, _ = strings.Cut(keys, "]")
				got = strings.ReplaceAll(got, keys, "KEYS")
			}
		}
	}
	got = strings.ReplaceAll(got, dir, "DIR")
	const golden = "testdata/commands.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the command lines changed (go test -update writes %s):\n%s", golden, diff)
	}
}

// A variant is another recipe, with its packages, hooks and files on top.
func TestVariant(t *testing.T) {
	h, dir := newHost(), t.TempDir()
	b := newBuilder(t, h, "")
	plain, err := b.Recipe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Variant = Variant{
		Packages: []string{"strace"}, Hooks: []string{`touch "$1/hooked"`},
		Files: []File{{Path: "etc/hosts", Mode: 0o600, Body: "ours\n"}},
	}
	img, err := b.Make(t.Context(), dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Recipe(t.Context()); err != nil || again != img.Recipe || again == plain {
		t.Errorf("the recipe is %s, of the plain image %s (%v)", again, plain, err)
	}
	commands := h.String()
	for _, want := range []string{`'--customize-hook=touch "$1/hooked"'`, ",less,strace "} {
		if !strings.Contains(commands, want) {
			t.Errorf("%q is not in %s", want, commands)
		}
	}
	list := files(recipe{variant: b.cfg.Variant})
	if last := list[len(list)-1]; last.Path != "etc/hosts" || last.Body != "ours\n" {
		t.Errorf("the last file is %+v", last)
	}
}

func TestMakeFailsCleanly(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		kind               fault.Kind
	}{
		{"half-way", good + `echo "E: Unable to fetch some archives" >&2; echo "E: run_chroot failed" >&2; exit 25`, "Unable to fetch some archives", fault.Unavailable},
		{"killed", good + `kill -9 $$`, "killed", fault.Unavailable},
		{"silent", `exit 1`, "exit code 1", fault.Unavailable},
		{"no mmdebstrap", `echo "unshare: failed to execute mmdebstrap: No such file or directory" >&2; exit 127`, "apt-get install mmdebstrap", fault.Precondition},
		{"no namespaces", `echo "unshare: unshare failed: Operation not permitted" >&2; exit 1`, "CAP_SYS_ADMIN", fault.Precondition},
		{"empty tree", `mkdir "$1"`, "skeleton", fault.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, dir, cache := newHost(), t.TempDir(), t.TempDir()
			h.script = c.script
			_, err := newBuilder(t, h, cache).Make(t.Context(), dir, quiet)
			if f := fault.From(err); err == nil || f.Kind != c.kind || !strings.Contains(f.Message+f.Hint, c.want) {
				t.Fatalf("got %v (%s), want %s with %q", err, fault.KindOf(err), c.kind, c.want)
			}
			if left := append(tree(t, dir), tree(t, cache)...); len(left) > 0 {
				t.Fatalf("left behind: %v", left)
			}
		})
	}
}

func TestMakeIsCancelled(t *testing.T) {
	h, dir := newHost(), t.TempDir()
	h.script = good + `touch "$1/started"; (sleep 60; touch "$1/late") & wait`
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user has lost interest")
	go func() {
		for {
			if found, err := filepath.Glob(filepath.Join(dir, "*", "root", "started")); err != nil || len(found) > 0 {
				cancel(cause)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	_, err := newBuilder(t, h, "").Make(ctx, dir, quiet)
	if !errors.Is(err, cause) {
		t.Fatalf("got %v", err)
	}
	if left := tree(t, dir); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestCache(t *testing.T) {
	cache := t.TempDir()
	make := func(spoil func(b *Builder, entry string)) (bootstrapped bool, img image.Image) {
		h, dir := newHost(), t.TempDir()
		b := newBuilder(t, h, cache)
		b.cfg.Keyring = filepath.Join(cache, "..", "keys.gpg") // the same for all, as it is a part of the recipe
		if err := os.WriteFile(b.cfg.Keyring, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		entries, err := filepath.Glob(filepath.Join(cache, "*"))
		if err != nil {
			t.Fatal(err)
		}
		if spoil != nil {
			spoil(b, entries[0])
		}
		img, err = b.Make(t.Context(), dir, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"root.img", "skel", "skel/.bashrc", "skel/.config"}, tree(t, dir)); diff != "" {
			t.Fatal(diff)
		}
		return strings.Contains(h.String(), "mmdebstrap"), img
	}
	bootstrapped, first := make(nil)
	if !bootstrapped {
		t.Fatal("the first image came out of an empty cache")
	}
	bootstrapped, second := make(nil)
	if first.UsedBytes, second.UsedBytes = 0, 0; bootstrapped || first != second {
		t.Fatalf("the second one was bootstrapped, or differs: %+v, %+v", first, second)
	}
	flip := func(name string, at int64) func(*Builder, string) {
		return func(_ *Builder, entry string) {
			path := filepath.Join(entry, name)
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte("X"), at)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, spoil := range map[string]func(*Builder, string){
		"a byte of the root": flip("root.img", 1026),
		"a byte in a hole":   flip("root.img", 1<<29),
		"the skeleton":       flip("skel/.bashrc", 1),
		"the description":    flip(entryFile, 30),
		"no root": func(_ *Builder, entry string) {
			if err := os.Remove(filepath.Join(entry, "root.img")); err != nil {
				t.Fatal(err)
			}
		},
		"too old": func(b *Builder, _ string) { b.cfg.Now = func() time.Time { return time.Now().Add(maxAge + time.Hour) } },
	} {
		if bootstrapped, _ := make(spoil); !bootstrapped {
			t.Errorf("%s: a spoiled cache was used", name)
		}
		if name == "too old" {
			continue // what was made is of the future
		}
		if bootstrapped, _ := make(nil); bootstrapped {
			t.Errorf("%s: the cache was not made anew", name)
		}
		if entries, err := os.ReadDir(cache); err != nil || len(entries) != 1 {
			t.Errorf("%s: the cache holds %v, %v", name, entries, err)
		}
	}
}

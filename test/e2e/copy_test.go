package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/test/tree"
)

// banger cp, both ways, in one VM.
func TestLongCopy(t *testing.T) {
	e := private(t)
	e.vm(t, "copies", "--network", "none")
	here := t.TempDir()
	t.Run("a tree", func(t *testing.T) { e.testTree(t, here) })
	t.Run("whose it is", func(t *testing.T) { e.testOwners(t, here) })
	t.Run("tar", func(t *testing.T) { e.testTar(t) })
	t.Run("5 GB with holes", func(t *testing.T) { e.testHoles(t, here) })
	t.Run("dense", func(t *testing.T) { e.testDense(t, here) })
	t.Run("killed", func(t *testing.T) { e.testKilledDuringCopy(t, here) })
	t.Run("interrupted", func(t *testing.T) { e.testInterruptedCopy(t, here) })
	// Last, when the guest's system is up and has time for it.
	t.Run("small files", func(t *testing.T) { e.testSmallFiles(t, filepath.Join(here, "small")) })
}

// in runs a shell command in the guest, as root.
func (e *env) in(t *testing.T, script string) string {
	t.Helper()
	return e.ok(t, "exec", "-u", "root", "copies", "--", "sh", "-ec", script)
}

// What goes there and back is as it was: content, modes, times, links, holes.
func (e *env) testTree(t *testing.T, here string) {
	src, back := filepath.Join(here, "tree"), filepath.Join(here, "back")
	for seed := uint64(1); ; seed++ {
		if err := tree.Grow(src, tree.Seeded(seed)); err != nil {
			t.Fatal(err)
		}
		if all, err := filepath.Glob(src + "/*/*"); err == nil && len(all) > 10 {
			break
		}
		if err := os.RemoveAll(src); err != nil {
			t.Fatal(err)
		}
	}
	e.ok(t, "cp", "-u", "root", src, "copies:/srv/there")
	e.ok(t, "cp", "-u", "root", "copies:/srv/there/.", back)
	if diff, err := tree.Diff(src, back); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	// As the guest's own programs see it.
	file := filepath.Join(here, "dated")
	at := time.Unix(1_234_567_890, 123_456_789)
	if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Chmod(file, 0o751|os.ModeSetuid), os.Chtimes(file, at, at)); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "cp", file, "copies:")
	if out := e.in(t, "cd ~dev; stat -c '%a %U %G %.Y' dated"); out != "751 dev dev 1234567890.123456789\n" {
		t.Errorf("%q", out)
	}
	e.ok(t, "cp", "--setuid", file, "copies:")
	if out := e.in(t, "cd ~dev; stat -c %a dated"); out != "4751\n" {
		t.Errorf("with --setuid: %q", out)
	}
}

// What is put is the user's, by that user's rights.
func (e *env) testOwners(t *testing.T, here string) {
	notOnFake(t, "their root makes no devices")
	file := filepath.Join(here, "mine")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "cp", "-u", "root", file, "copies:/etc/")
	if out := e.in(t, "stat -c '%U:%G' /etc/mine"); out != "root:root\n" {
		t.Errorf("%q", out)
	}
	e.refused(t, 5, []string{"mine cannot be written in the guest: permission denied", "-u root"}, "cp", file, "copies:/etc")
	e.refused(t, 5, []string{"permission denied", "-u root"}, "cp", "copies:/root/x", here)
	e.refused(t, 3, []string{"there is no directory /home/dev/no"}, "cp", file, "copies:no/such")
	e.refused(t, 3, []string{"there is no /home/dev/nothing in the guest"}, "cp", "copies:nothing", here)
	e.refused(t, 2, []string{"from VM to VM"}, "cp", "copies:a", "copies:b")
	e.refused(t, 2, []string{"one side"}, "cp", file, here)
	e.refused(t, 3, []string{"there is no VM"}, "cp", file, "no-such-vm:")
	e.in(t, "mkdir /srv/odd; cd /srv/odd; mkfifo p; mknod d c 1 3; echo x >f")
	e.refused(t, 1, []string{"it is a pipe", "it is a device", "left out: 2"}, "cp", "-u", "root", "copies:/srv/odd", here)
	if all, err := filepath.Glob(here + "/odd/*"); err != nil || len(all) != 1 || filepath.Base(all[0]) != "f" {
		t.Errorf("%q, %v", all, err)
	}
}

// "-" is tar, as tar makes and reads it.
func (e *env) testTar(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(
		w.WriteHeader(&tar.Header{Name: "./in/", Typeflag: tar.TypeDir, Mode: 0o755}),
		w.WriteHeader(&tar.Header{Name: "./in/f", Size: 4, Mode: 0o644}),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "text"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r := e.bangerIn(t, b.String(), "cp", "-", "copies:/tmp"); r.code != 0 {
		t.Fatal(r)
	}
	out := tar.NewReader(strings.NewReader(e.ok(t, "cp", "copies:/tmp/in", "-")))
	var got []string
	for {
		h, err := out.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name+"="+string(text))
	}
	if strings.Join(got, " ") != "in/= in/f=text" {
		t.Errorf("%q", got)
	}
	if out := e.in(t, "cp -r /tmp/in /tmp/again; tar -C /tmp -c again | tar -t | sort | tr '\\n' ' '"); out != "again/ again/f " {
		t.Errorf("%q", out)
	}
}

func (e *env) testSmallFiles(t *testing.T, src string) {
	files := int(sized(t, "BANGER_TEST_COPY_FILES", 10_000))
	for i := range files {
		at := filepath.Join(src, strconv.Itoa(i%100), strconv.Itoa(i))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, fmt.Append(nil, "file ", i), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	e.ok(t, "cp", src, "copies:small")
	there := time.Now()
	e.ok(t, "cp", "copies:small", src+"-back")
	t.Logf("%d files: there in %v, back in %v", files, there.Sub(begin), time.Since(there))
	if diff, err := tree.Diff(src, src+"-back"); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, clip(diff))
	}
}

func (e *env) testHoles(t *testing.T, here string) {
	src := filepath.Join(here, "holes")
	f, err := os.Create(src)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{5}).Read(data)
	if _, err := f.WriteAt(data, 3<<30); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(5<<30), f.Close()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	e.ok(t, "cp", src, "copies:holes")
	there := time.Now()
	e.ok(t, "cp", "copies:holes", src+"-back")
	t.Logf("5 GB with holes: there in %v, back in %v", there.Sub(begin), time.Since(there))
	if out := e.in(t, "cd ~dev; stat -c %s holes; du -k holes | cut -f1; tail -c +3221225473 holes | head -c 1048576 | sha256sum; rm holes"); !strings.HasPrefix(out, "5368709120\n") || !strings.Contains(out, digest(string(data))) {
		t.Errorf("%q", out)
	} else if kb, err := strconv.Atoi(strings.Split(out, "\n")[1]); err != nil || kb > 2048 {
		t.Errorf("it takes %d KB there", kb)
	}
	info, err := os.Stat(src + "-back")
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != 5<<30 || used > 2<<20 {
		t.Errorf("%d bytes in %d came back", info.Size(), used)
	}
	back, err := os.Open(src + "-back")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	got := make([]byte, len(data))
	if _, err := back.ReadAt(got, 3<<30); err != nil || !bytes.Equal(got, data) {
		t.Errorf("other data came back: %v", err)
	}
}

func (e *env) testDense(t *testing.T, here string) {
	mb := sized(t, "BANGER_TEST_COPY_MB", 50)
	src := filepath.Join(here, "dense")
	f, err := os.Create(src)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{6}), mb<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	e.ok(t, "cp", src, "copies:dense")
	there := time.Now()
	e.ok(t, "cp", "copies:dense", src+"-back")
	t.Logf("%d MB: there in %v, back in %v", mb, there.Sub(begin), time.Since(there))
	if err := os.Chtimes(src+"-back", begin, begin); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(src, begin, begin); err != nil {
		t.Fatal(err)
	}
	if a, err := tree.Diff(src, src+"-back"); err != nil || a != "" {
		t.Errorf("%v\n%s", err, a)
	}
	if err := os.Remove(src + "-back"); err != nil {
		t.Fatal(err)
	}
}

// A copy goes on, each byte once, whoever is killed in its middle.
func (e *env) testKilledDuringCopy(t *testing.T, here string) {
	src := filepath.Join(here, "killed")
	data := make([]byte, 24<<20)
	rand.NewChaCha8([32]byte{7}).Read(data)
	if err := os.WriteFile(src, data, 0o644); err != nil {
		t.Fatal(err)
	}
	want := digest(string(data))
	for who, kill := range victims {
		t.Run(who+" in", func(t *testing.T) {
			v := e.inspect(t, "copies")
			e.middle(t, func() bool {
				// Of the file that is not whole yet.
				out := e.in(t, "cd ~dev; stat -c %s .banger-* 2>/dev/null || true")
				n, err := strconv.Atoi(strings.TrimSpace(out))
				return err == nil && n > 2<<20
			}, func() { kill(t, e, v) }, "cp", src, "copies:killed")
			if out := e.in(t, "sha256sum <~dev/killed"); !strings.HasPrefix(out, want) {
				t.Errorf("the guest got other bytes: %s", out)
			}
		})
		t.Run(who+" out", func(t *testing.T) {
			v := e.inspect(t, "copies")
			back := t.TempDir()
			e.middle(t, func() bool {
				all, err := filepath.Glob(back + "/.banger-*")
				if err != nil || len(all) == 0 {
					return false
				}
				info, err := os.Stat(all[0])
				return err == nil && info.Size() > 2<<20
			}, func() { kill(t, e, v) }, "cp", "copies:killed", back)
			got, err := os.ReadFile(back + "/killed")
			if err != nil || digest(string(got)) != want {
				t.Errorf("%d of %d bytes came back, or others: %v", len(got), len(data), err)
			}
		})
	}
}

// middle runs banger, and lets happen what does at a moment of it.
func (e *env) middle(t *testing.T, moment func() bool, happens func(), args ...string) {
	t.Helper()
	at, stop := make(chan struct{}), make(chan struct{})
	defer close(stop)
	go func() {
		for !moment() {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
		close(at)
	}()
	e.during(t, nil, io.Discard, at, happens, args...)
}

// Ctrl-C leaves no part of a file, at either end.
func (e *env) testInterruptedCopy(t *testing.T, here string) {
	notOnFake(t, "it is over before it could be interrupted")
	e.in(t, "rm -rf ~dev/*; head -c 200M /dev/zero >/srv/large")
	large := filepath.Join(here, "large")
	if err := os.WriteFile(large, make([]byte, 200<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for way, args := range map[string][]string{
		"put": {"cp", large, "copies:"},
		"get": {"cp", "copies:/srv/large", filepath.Join(here, "not-there")},
	} {
		t.Run(way, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			cmd := e.command(ctx, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await(t, "an unfinished file", func() bool {
				if way == "put" {
					return e.in(t, "find ~dev -name '.banger-*'") != ""
				}
				all, err := filepath.Glob(here + "/.banger-*")
				return err == nil && len(all) > 0
			})
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // by its exit code
			if code := cmd.ProcessState.ExitCode(); code != 130 {
				t.Errorf("exit code %d, want 130", code)
			}
			if out := e.in(t, "find ~dev -name '.banger-*' -o -name large"); out != "" {
				t.Errorf("left in the guest: %q", out)
			}
			for _, pattern := range []string{"/.banger-*", "/not-there"} {
				if all, err := filepath.Glob(here + pattern); err != nil || len(all) > 0 {
					t.Errorf("left here: %q, %v", all, err)
				}
			}
		})
	}
}

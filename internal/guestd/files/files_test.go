package files_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guestd/files"
	"github.com/banger-vm/banger/test/guestrig"
	"github.com/banger-vm/banger/test/tree"
)

// rig is the service, with a guest's home that is the test's.
type rig struct {
	*files.Server
	home             string
	dialPut, dialGet client.ExecDialer
	put, get         *client.Files
	skipped          []api.FilesSkipped
	cfg              client.CopyConfig
}

func newRig(t *testing.T, cfg files.Config) *rig {
	t.Helper()
	r := &rig{home: t.TempDir()}
	etc := t.TempDir()
	me, group := os.Geteuid(), os.Getegid()
	passwd := "dev:x:" + strconv.Itoa(me) + ":" + strconv.Itoa(group) + "::" + r.home + ":/bin/sh\nother:x:4242:4243::" + r.home + ":/bin/sh\n"
	write(t, filepath.Join(etc, "passwd"), passwd)
	cfg.Etc, cfg.User = etc, func() string { return "dev" }
	r.Server = files.New(slog.New(slog.DiscardHandler), cfg)
	t.Cleanup(r.Close)
	r.dialPut = guestrig.Dialer(guestrig.Serve(t, r.Put()).FilesPut)
	r.dialGet = guestrig.Dialer(guestrig.Serve(t, r.Get()).FilesGet)
	r.put, r.get = client.NewFiles(r.dialPut), client.NewFiles(r.dialGet)
	r.cfg.Skipped = func(s api.FilesSkipped) { r.skipped = append(r.skipped, s) }
	return r
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// names lists all that is below a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (r *rig) empty(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); r.Open() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d copies stay", r.Open())
		}
	}
}

// Where a copy goes: as with cp, either way.
func TestDestinations(t *testing.T) {
	for name, c := range map[string]struct {
		sources []string
		dest    string
		want    string // a file that is there then
		kind    api.Kind
		says    string
	}{
		"a file into a directory":            {sources: []string{"f"}, dest: "dir", want: "dir/f"},
		"a file into a directory, slash":     {sources: []string{"f"}, dest: "dir/", want: "dir/f"},
		"a file to a name":                   {sources: []string{"f"}, dest: "new", want: "new"},
		"a file over a file":                 {sources: []string{"f"}, dest: "old", want: "old"},
		"a file to a directory not there":    {sources: []string{"f"}, dest: "new/", kind: api.KindNotFound, says: "there is no directory"},
		"a file below a directory not there": {sources: []string{"f"}, dest: "no/new", kind: api.KindNotFound, says: "there is no directory"},
		"a file below a file":                {sources: []string{"f"}, dest: "old/new", kind: api.KindFailedPrecondition, says: "not a directory"},
		"a file to a file with a slash":      {sources: []string{"f"}, dest: "old/", kind: api.KindFailedPrecondition, says: "is no directory"},
		"a file through a link":              {sources: []string{"f"}, dest: "link", kind: api.KindFailedPrecondition, says: "is a symbolic link"},
		"a tree into a directory":            {sources: []string{"tree"}, dest: "dir", want: "dir/tree/sub/f"},
		"a tree to a name":                   {sources: []string{"tree"}, dest: "new", want: "new/sub/f"},
		"a tree to a name with a slash":      {sources: []string{"tree"}, dest: "new/", want: "new/sub/f"},
		"a tree over a file":                 {sources: []string{"tree"}, dest: "old", kind: api.KindFailedPrecondition, says: "is a file"},
		"what is in a tree":                  {sources: []string{"tree/."}, dest: "dir", want: "dir/sub/f"},
		"what is in a tree, to a name":       {sources: []string{"tree/."}, dest: "new", want: "new/sub/f"},
		"several into a directory":           {sources: []string{"f", "tree"}, dest: "dir", want: "dir/tree/sub/f"},
		"several to a name":                  {sources: []string{"f", "tree"}, dest: "new", kind: api.KindNotFound, says: "there is no directory"},
		"several over a file":                {sources: []string{"f", "tree"}, dest: "old", kind: api.KindFailedPrecondition, says: "is no directory"},
		"two of one name":                    {sources: []string{"f", "tree/sub/f"}, dest: "dir", kind: api.KindInvalid, says: "two of the sources"},
		"nothing":                            {sources: []string{"no"}, dest: "dir", kind: api.KindNotFound, says: "there is no "},
		"nothing but a pipe":                 {sources: []string{"pipe"}, dest: "dir", kind: api.KindFailedPrecondition, says: "nothing to copy"},
		"a file over a directory":            {sources: []string{"sub"}, dest: "dir", kind: api.KindFailedPrecondition, says: "is a directory"},
	} {
		for _, way := range []string{"put", "get"} {
			t.Run(name+", "+way, func(t *testing.T) {
				r := newRig(t, files.Config{})
				here := t.TempDir()
				from, to := here, r.home
				if way == "get" {
					from, to = to, from
				}
				for _, dir := range []string{from + "/tree/sub", to + "/dir/sub"} {
					if err := os.MkdirAll(dir, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				write(t, from+"/f", "text")
				write(t, from+"/sub", "text")
				write(t, from+"/tree/sub/f", "text")
				write(t, to+"/old", "old")
				if err := errors.Join(os.Symlink("old", to+"/link"), syscall.Mkfifo(from+"/pipe", 0o600)); err != nil {
					t.Fatal(err)
				}
				before := names(t, to)
				sources, dest := c.sources, c.dest
				var err error
				if way == "put" {
					_, err = r.put.Put(t.Context(), prefixed(here, sources), dest, r.cfg)
				} else {
					_, err = r.get.Get(t.Context(), sources, here+"/"+dest, r.cfg)
				}
				if c.want == "" {
					if api.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) {
						t.Errorf("%s: %v", api.KindOf(err), err)
					}
					if after := names(t, to); len(after) > len(before) {
						t.Errorf("it left %q", after)
					}
				} else if err != nil || read(t, filepath.Join(to, c.want)) != "text" {
					t.Errorf("%v", err)
				}
				r.empty(t)
			})
		}
	}
}

func prefixed(dir string, names []string) []string {
	var all []string
	for _, n := range names {
		all = append(all, dir+"/"+n)
	}
	return all
}

// A connection may break at any byte; nothing is lost and nothing comes twice.
func TestBrokenConnections(t *testing.T) {
	r := newRig(t, files.Config{})
	here := t.TempDir()
	src := filepath.Join(here, "tree")
	for seed := uint64(0); ; seed++ { // one that is large enough
		if err := tree.Grow(src, tree.Seeded(seed)); err != nil {
			t.Fatal(err)
		}
		if len(names(t, src)) > 40 {
			break
		}
		clear(t, src)
	}
	noise(t, src+"/noise", 6<<20)
	var mu sync.Mutex
	seed := rand.New(rand.NewPCG(7, 8))
	breaking := func(dial client.ExecDialer) client.ExecDialer {
		return func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			return &cut{Conn: conn, left: 500 + seed.IntN(400_000)}, nil
		}
	}
	if _, err := client.NewFiles(breaking(r.dialPut)).Put(t.Context(), []string{src}, "there", r.cfg); err != nil {
		t.Fatal(err)
	}
	same(t, src, filepath.Join(r.home, "there"))
	if _, err := client.NewFiles(breaking(r.dialGet)).Get(t.Context(), []string{"there"}, filepath.Join(here, "back"), r.cfg); err != nil {
		t.Fatal(err)
	}
	same(t, src, filepath.Join(here, "back"))
	r.empty(t)
}

// cut is a connection that breaks after some bytes, either way.
type cut struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (c *cut) passed(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= n; c.left < 0 {
		c.Conn.Close()
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if broke := c.passed(n); broke != nil {
		return 0, broke
	}
	return n, err
}

func (c *cut) Write(p []byte) (int, error) {
	if err := c.passed(len(p)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// A copy that is given up in its middle leaves no unfinished file at either
// end, nor the copy in the guest.
func TestGivenUp(t *testing.T) {
	for _, way := range []string{"put", "get", "put tar", "get tar"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, files.Config{})
			here := t.TempDir()
			from := here + "/big"
			if strings.HasPrefix(way, "get") {
				from = r.home + "/big"
			}
			noise(t, from, 64<<20)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r.cfg.Progress = func(s client.CopyStats) {
				if s.Bytes > 1<<20 {
					cancel()
				}
			}
			var err error
			switch way {
			case "put":
				_, err = r.put.Put(ctx, []string{from}, "copy", r.cfg)
			case "get":
				_, err = r.get.Get(ctx, []string{"big"}, here+"/copy", r.cfg)
			case "put tar":
				_, err = r.put.PutTar(ctx, endless{new(int)}, "", r.cfg)
			case "get tar":
				_, err = r.get.GetTar(ctx, []string{"big"}, slow{}, r.cfg)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			r.empty(t)
			for _, dir := range []string{here, r.home} {
				for _, left := range names(t, dir) {
					if left != "big" && !(way == "put tar" && left[0] == 'f') { // those are whole
						t.Errorf("it left %q", left)
					}
				}
			}
		})
	}
}

type slow struct{}

func (slow) Write(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return len(p), nil
}

// endless is a tar archive that does not end.
type endless struct{ at *int }

func (e endless) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	n := copy(p, manyFiles[*e.at:])
	*e.at = (*e.at + n) % len(manyFiles)
	return n, nil
}

var manyFiles = func() []byte {
	var b bytes.Buffer
	for i := range 50 {
		w := tar.NewWriter(&b)
		w.WriteHeader(&tar.Header{Name: "f" + strconv.Itoa(i), Size: 100_000, Mode: 0o644})
		w.Write(make([]byte, 100_000))
		w.Flush()
	}
	return b.Bytes()
}()

// A client that is killed leaves nothing either, in time.
func TestOrphan(t *testing.T) {
	r := newRig(t, files.Config{OrphanAfter: 50 * time.Millisecond})
	here := t.TempDir()
	noise(t, here+"/big", 64<<20)
	var conns []net.Conn
	var mu sync.Mutex
	dead := false
	dial := func(ctx context.Context) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return nil, api.NewError(api.KindNotFound, "as if it were killed", "")
		}
		c, err := r.dialPut(ctx)
		conns = append(conns, c)
		return c, err
	}
	r.cfg.Progress = func(s client.CopyStats) {
		mu.Lock()
		defer mu.Unlock()
		if s.Bytes > 1<<20 && !dead {
			dead = true
			conns[0].Close()
		}
	}
	if _, err := client.NewFiles(dial).Put(t.Context(), []string{here + "/big"}, "copy", r.cfg); err == nil {
		t.Error("it went on")
	}
	r.empty(t)
	for end := time.Now().Add(20 * time.Second); len(names(t, r.home)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it left %q", names(t, r.home))
		}
	}
}

// A copy has the rights of its user, and nothing else in the agent has.
func TestRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	r := newRig(t, files.Config{})
	here := t.TempDir()
	write(t, here+"/f", "text")
	for dir := r.home; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(r.home+"/its", 0o755), os.Chown(r.home+"/its", 4242, 4243), os.Mkdir(r.home+"/ours", 0o700)); err != nil {
		t.Fatal(err)
	}
	write(t, r.home+"/ours/secret", "root's")
	owner := func(path string) uint32 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	r.cfg.User = "other"
	if _, err := r.put.Put(t.Context(), []string{here + "/f"}, "its", r.cfg); err != nil || owner(r.home+"/its/f") != 4242 {
		t.Errorf("it is of %d, %v", owner(r.home+"/its/f"), err)
	}
	if _, err := r.put.Put(t.Context(), []string{here + "/f"}, ".", r.cfg); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("into a directory of root's: %v", err)
	}
	if _, err := r.get.Get(t.Context(), []string{"ours/secret"}, here, r.cfg); api.KindOf(err) != api.KindFailedPrecondition {
		t.Errorf("a file of root's: %v", err)
	}
	if _, err := r.get.Get(t.Context(), []string{"ours"}, here+"/got", r.cfg); err == nil && len(r.skipped) == 0 {
		t.Error("a directory of root's was read")
	}
	write(t, r.home+"/after", "") // by this thread, or another
	if owner(r.home+"/after") != 0 {
		t.Error("the agent has lost its rights")
	}
	r.empty(t)
}

func TestRefusals(t *testing.T) {
	r := newRig(t, files.Config{})
	here := t.TempDir()
	write(t, here+"/f", "text")
	r.cfg.User = "nobody-here"
	if _, err := r.put.Put(t.Context(), []string{here + "/f"}, "", r.cfg); api.KindOf(err) != api.KindInvalid || !strings.Contains(err.Error(), "there is no user") {
		t.Errorf("%v", err)
	}
	r.cfg.User = ""
	if _, err := r.put.PutTar(t.Context(), strings.NewReader("no tar at all"), "", r.cfg); err == nil || !strings.Contains(err.Error(), "the archive") {
		t.Errorf("%v", err)
	}
	if _, err := r.put.PutTar(t.Context(), strings.NewReader(""), "no-such-dir", r.cfg); api.KindOf(err) != api.KindNotFound {
		t.Errorf("%v", err)
	}
	r.empty(t)
}

func noise(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, a, b string) {
	t.Helper()
	diff, err := tree.Diff(a, b)
	if err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func clear(t *testing.T, dir string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(at string, d os.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(at, 0o700)
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// What goes there and back is as it was.
func TestRoundTrip(t *testing.T) {
	r := newRig(t, files.Config{})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		here := filepath.Join(t.TempDir(), strconv.Itoa(n))
		if err := os.Mkdir(here, 0o755); err != nil {
			t.Fatal(err)
		}
		src, name := filepath.Join(here, "src"), "there"+strconv.Itoa(n)
		defer clear(t, here)
		defer clear(t, filepath.Join(r.home, name))
		err := tree.Grow(src, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") })
		if err != nil {
			t.Fatal(err)
		}
		put, err := r.put.Put(t.Context(), []string{src}, name, r.cfg)
		if err != nil {
			rt.Fatal(err)
		}
		check(rt, src, filepath.Join(r.home, name))
		got, err := r.get.Get(t.Context(), []string{name + "/."}, filepath.Join(here, "back"), r.cfg)
		if err != nil {
			rt.Fatal(err)
		}
		check(rt, src, filepath.Join(here, "back"))
		if put != got {
			rt.Errorf("%+v went there, %+v came back", put, got)
		}
	})
	if len(r.skipped) > 0 {
		t.Errorf("left out: %q", r.skipped)
	}
	r.empty(t)
}

func check(t *rapid.T, a, b string) {
	diff, err := tree.Diff(a, b)
	if err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

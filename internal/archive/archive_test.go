package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/archive"
	"github.com/banger-vm/banger/test/tree"
)

// entry is one of an archive that somebody made by hand.
type entry struct {
	tar.Header
	body string
}

func file(name, body string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, body}
}

func dir(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func link(name, to string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}, ""}
}

func hard(name, to string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}, ""}
}

func node(name string, kind byte) entry {
	return entry{tar.Header{Typeflag: kind, Name: name, Devmajor: 1, Devminor: 3}, ""}
}

// holed is a file whose content is a map and its data.
func holed(name, size, body string) entry {
	if n := len(body) % 512; n > 0 && strings.Contains(body, "\n") {
		body += strings.Repeat("\x00", 512-n)
	}
	e := file(name, body)
	e.PAXRecords = map[string]string{archive.Sparse: size}
	return e
}

func pack(t testing.TB, entries ...entry) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		h.Size = int64(len(e.body))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func unpack(t testing.TB, dest string, rules archive.Rules, r io.Reader) (skipped []api.FilesSkipped, err error) {
	t.Helper()
	p, err := archive.OpenPlace(dest, rules)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	err = p.Unpack(t.Context(), r, new(archive.Count), func(s api.FilesSkipped) { skipped = append(skipped, s) })
	return skipped, err
}

// What a hostile guest may send, and what it finds of the host: a directory
// beside the destination, with a file, to which links lead.
func TestHostile(t *testing.T) {
	for name, c := range map[string]struct {
		send []entry
		says string
	}{
		"a name that leaves":                   {[]entry{file("x/../../out/f", "evil")}, "leaves its directory"},
		"a name that is ..":                    {[]entry{dir("..")}, "leaves its directory"},
		"an absolute name":                     {[]entry{file("/out/f", "evil")}, "is absolute"},
		"an empty name":                        {[]entry{file("", "evil")}, "the archive"},
		"a long name":                          {[]entry{file(strings.Repeat("x", 300), "evil")}, "too long"},
		"a longer name":                        {[]entry{file(strings.Repeat("x/", 3000)+"f", "evil")}, "impossible"},
		"a deep name":                          {[]entry{file(strings.Repeat("x/", 600)+"f", "evil")}, "too deep"},
		"a link, and a file through it":        {[]entry{link("x", "../out"), file("x/f", "evil")}, "a symbolic link"},
		"a link, and a directory on it":        {[]entry{link("x", "../out"), dir("x")}, "a symbolic link"},
		"a link inside, and a file through it": {[]entry{dir("d"), link("x", "d"), file("x/f", "evil")}, "a symbolic link"},
		"a link, and a file over it":           {[]entry{link("x", "../out/f"), file("x", "mine")}, ""},
		"through a link that is there":         {[]entry{file("out/f", "evil")}, "a symbolic link"},
		"over a link that is there":            {[]entry{file("outf", "mine")}, ""},
		"a link over a link that is there":     {[]entry{link("out", "/etc")}, ""},
		"a link that is there, a level down":   {[]entry{file("there/out/f", "evil")}, "a symbolic link"},
		"a hard link to the outside":           {[]entry{hard("x", "../out/f")}, "leaves its directory"},
		"a hard link to an absolute name":      {[]entry{hard("x", "/etc/passwd")}, "is absolute"},
		"a hard link through a link":           {[]entry{hard("x", "out/f")}, "is no file"},
		"a hard link to a link":                {[]entry{hard("x", "outf")}, "is no file"},
		"a hard link to nothing":               {[]entry{hard("x", "y")}, "is not there"},
		"a hard link to a directory":           {[]entry{dir("d"), hard("x", "d")}, "is no file"},
		"a file over a directory":              {[]entry{dir("d"), file("d", "")}, "a directory"},
		"a link over a directory":              {[]entry{dir("d"), link("d", "x")}, "a directory"},
		"a link to nowhere":                    {[]entry{link("x", strings.Repeat("y", 5000))}, "impossible name"},
		"a kind that is not known":             {[]entry{node("x", 'Z')}, "of the kind"},
		"nothing":                              {nil, "is empty"},

		"a map of words":             {[]entry{holed("x", "100", "one\ntwo\n")}, "no list of numbers"},
		"a map of huge numbers":      {[]entry{holed("x", "100", "1\n99999999999999999999\n0\n")}, "no list of numbers"},
		"a map of a negative size":   {[]entry{holed("x", "-5", "1\n0\n0\n")}, "a file of -5 bytes"},
		"a map of no size":           {[]entry{holed("x", "many", "1\n0\n0\n")}, "a file of \"many\" bytes"},
		"a map of a huge size":       {[]entry{holed("x", "9223372036854775807", "1\n0\n0\n")}, "a file of"},
		"a map of too many parts":    {[]entry{holed("x", "100", "1000000\n0\n0\n")}, "in 1000000 parts"},
		"a map of no parts":          {[]entry{holed("x", "100", "0\n")}, "in 0 parts"},
		"a map beyond the file":      {[]entry{holed("x", "100", "1\n90\n20\n")}, "a part of a file"},
		"a map that goes back":       {[]entry{holed("x", "100", "2\n50\n10\n40\n10\n"+strings.Repeat("\x00", 497)+strings.Repeat("d", 20))}, "a part of a file"},
		"a map with more data":       {[]entry{holed("x", "100", "1\n0\n50\n")}, "whose parts have"},
		"a map that does not end":    {[]entry{holed("x", "100", strings.Repeat("1\n", 100))}, "the archive"},
		"a map without an entry":     {[]entry{holed("x", "100", "")}, "ends in its middle"},
		"zeros that are not sent":    {[]entry{gnu("x")}, "the archive"},
		"what nobody asked for":      {[]entry{file("wanted", "ok"), file("other", "evil")}, "nobody asked for"},
		"the top, not asked for":     {[]entry{dir("./")}, "nobody asked for"},
		"a file among those skipped": {[]entry{node("x/dev", tar.TypeBlock), node("x/fifo", tar.TypeFifo), node("null", tar.TypeChar), file("x/f", "fine")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			in, out := filepath.Join(base, "in"), filepath.Join(base, "out")
			if err := errors.Join(
				os.MkdirAll(in+"/there", 0o755), os.Mkdir(out, 0o755), os.WriteFile(out+"/f", []byte("host's"), 0o600),
				os.Symlink("../out", in+"/out"), os.Symlink("../out/f", in+"/outf"), os.Symlink("../../out", in+"/there/out"),
			); err != nil {
				t.Fatal(err)
			}
			rules := archive.Rules{Side: archive.Here, Reserve: true}
			if strings.Contains(name, "asked for") {
				rules.Tops = []string{"wanted"}
			}
			skipped, err := unpack(t, in, rules, pack(t, c.send...))
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v", err)
			}
			if name == "a file among those skipped" && len(skipped) != 3 {
				t.Errorf("skipped: %v", skipped)
			}
			unharmed(t, in, out)
		})
	}
}

func gnu(name string) entry {
	e := file(name, "1\n0\n0\n"+strings.Repeat("\x00", 506))
	e.Typeflag = tar.TypeGNUSparse
	return e
}

// unharmed makes sure that nothing came out of the destination, and nothing
// odd is in it.
func unharmed(t *testing.T, in, out string) {
	t.Helper()
	if got, err := os.ReadFile(out + "/f"); err != nil || string(got) != "host's" {
		t.Errorf("outside is %q, %v", got, err)
	}
	for dir, most := range map[string]int{out: 1, filepath.Dir(in): 2} {
		if all, err := os.ReadDir(dir); err != nil || len(all) != most {
			t.Errorf("%s: %v, %v", dir, all, err)
		}
	}
	err := filepath.WalkDir(in, func(at string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if kind := d.Type(); kind != 0 && kind != os.ModeDir && kind != os.ModeSymlink {
			t.Errorf("%s is %v", at, kind)
		}
		if strings.HasPrefix(d.Name(), ".banger-") {
			t.Errorf("%s is left", at)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(out + "/f"); err != nil || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		t.Errorf("it is linked to: %v", err)
	}
}

// A place that names its source takes one alone.
func TestNamed(t *testing.T) {
	at := filepath.Join(t.TempDir(), "new")
	if _, err := unpack(t, at, archive.Rules{}, pack(t, dir("a"), file("a/f", "1"), file("b", "2"))); err == nil || !strings.Contains(err.Error(), "more than one source") {
		t.Errorf("%v", err)
	}
	if _, err := unpack(t, at+"2", archive.Rules{}, pack(t, dir("a"), file("a/f", "1"), hard("a/g", "a/f"))); err != nil {
		t.Error(err)
	}
	if a, err := os.Stat(at + "2/f"); err != nil {
		t.Error(err)
	} else if b, err := os.Stat(at + "2/g"); err != nil || !os.SameFile(a, b) {
		t.Errorf("the hard link is none: %v", err)
	}
}

func TestLimits(t *testing.T) {
	at := t.TempDir()
	_, err := unpack(t, at, archive.Rules{MaxBytes: 1000}, pack(t, file("small", strings.Repeat("x", 600)), file("large", strings.Repeat("x", 600))))
	if api.KindOf(err) != api.KindFailedPrecondition || !strings.Contains(err.Error(), "1000 bytes") {
		t.Errorf("%v", err)
	}
	all, err := os.ReadDir(at)
	if err != nil || len(all) != 1 || all[0].Name() != "small" {
		t.Errorf("left: %v, %v", all, err)
	}
}

// setuid bits go, unless they are asked for; directories that are there keep
// their modes.
func TestModes(t *testing.T) {
	for _, keep := range []bool{false, true} {
		at := t.TempDir()
		if err := errors.Join(os.Mkdir(at+"/old", 0o700), os.Chmod(at, 0o700)); err != nil {
			t.Fatal(err)
		}
		su := file("su", "x")
		su.Mode = 0o6755
		old := dir("old")
		old.Mode = 0o777
		top := dir("./")
		top.Mode = 0o777
		closed := dir("closed")
		closed.Mode = 0o555
		if _, err := unpack(t, at, archive.Rules{Setuid: keep}, pack(t, top, su, old, closed, file("old/f", ""), dir("old/d"), file("closed/f", ""))); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(at+"/closed", 0o700) }) // to be removed
		want := map[string]os.FileMode{"su": 0o755, "closed": 0o555 | os.ModeDir, "old": 0o700 | os.ModeDir, ".": 0o700 | os.ModeDir}
		if keep {
			want["su"] |= os.ModeSetuid | os.ModeSetgid
		}
		for name, mode := range want {
			if info, err := os.Stat(filepath.Join(at, name)); err != nil || info.Mode() != mode {
				t.Errorf("%s is %v, not %v: %v", name, info.Mode(), mode, err)
			}
		}
	}
}

// An archive may end at any byte: what is there is whole.
func TestCut(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 100)
	whole := pack(t, dir("d"), file("d/one", body), holed("d/two", "100000", "2\n50000\n0\n100000\n0\n"), file("d/three", body)).Bytes()
	first := bytes.Index(whole, []byte(body))
	for n := 0; n < len(whole)-1024; n += 13 {
		at := t.TempDir()
		_, err := unpack(t, at, archive.Rules{}, bytes.NewReader(whole[:n]))
		if err == nil && n > first && n < first+len(body) {
			t.Fatalf("%d bytes of %d are taken for all", n, len(whole))
		}
		for _, name := range []string{"one", "three"} {
			if got, err := os.ReadFile(at + "/d/" + name); err == nil && string(got) != body {
				t.Fatalf("after %d bytes %s has %d", n, name, len(got))
			}
		}
		if all, err := os.ReadDir(at + "/d"); err == nil && len(all) > 3 {
			t.Fatalf("after %d bytes there is %v", n, all)
		}
	}
}

// Pack leaves out what is no file, and says so.
func TestPackSkips(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	if err := errors.Join(syscall.Mkfifo(from+"/fifo", 0o600), os.WriteFile(from+"/f", []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	skipped := repack(t, from, to, archive.Rules{})
	if len(skipped) != 1 || !strings.HasSuffix(skipped[0].Name, "/fifo") || skipped[0].Reason != "it is a pipe" {
		t.Errorf("%v", skipped)
	}
	if all, err := os.ReadDir(to); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func repack(t *testing.T, from, to string, rules archive.Rules) (skipped []api.FilesSkipped) {
	t.Helper()
	sources, err := archive.Sources([]string{from}, archive.Here, false)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() {
		err := archive.Pack(t.Context(), w, sources, new(archive.Count), func(s api.FilesSkipped) { skipped = append(skipped, s) })
		w.CloseWithError(err)
	}()
	if _, err := unpack(t, to, rules, r); err != nil {
		t.Fatal(err)
	}
	return skipped
}

// A file of 5 GB that holds 1 MB takes neither time nor space.
func TestSparse(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(from + "/big")
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("data"), 1<<16)
	for i := range int64(4) {
		if _, err := f.WriteAt(data, i*(1<<30)+12345); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(5<<30), f.Close()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	repack(t, from, to, archive.Rules{})
	took := time.Since(begin)
	info, err := os.Stat(to + "/big")
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != 5<<30 || used > 2<<20 {
		t.Errorf("%d bytes in %d", info.Size(), used)
	}
	if took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	got, err := os.Open(to + "/big")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	for i := range int64(4) {
		part := make([]byte, len(data)+2)
		if _, err := got.ReadAt(part, i*(1<<30)+12345-1); err != nil || !bytes.Equal(part[1:len(part)-1], data) || part[0] != 0 || part[len(part)-1] != 0 {
			t.Errorf("part %d differs: %v", i, err)
		}
	}
}

// A file of very many holes goes through, some of them as zeros.
func TestManyHoles(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(from + "/holed")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(40_000) {
		if _, err := f.WriteAt([]byte{byte(i)}, i*8192); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	repack(t, from, to, archive.Rules{})
	a, err1 := os.ReadFile(from + "/holed")
	b, err2 := os.ReadFile(to + "/holed")
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("%d and %d bytes, %v, %v", len(a), len(b), err1, err2)
	}
}

// Other programs read what Standard makes, holes included.
func TestStandard(t *testing.T) {
	gnutar, err := exec.LookPath("tar")
	if err != nil {
		t.Skip("there is no tar here")
	}
	for seed := range uint64(8) {
		base := t.TempDir()
		src := base + "/src"
		if err := tree.Grow(src, tree.Seeded(seed)); err != nil {
			t.Fatal(err)
		}
		sources, err := archive.Sources([]string{src}, archive.Here, false)
		if err != nil {
			t.Fatal(err)
		}
		var ours, standard bytes.Buffer
		if err := archive.Pack(t.Context(), &ours, sources, new(archive.Count), func(s api.FilesSkipped) { t.Errorf("%+v", s) }); err != nil {
			t.Fatal(err)
		}
		if err := archive.Standard(t.Context(), &standard, &ours, []string{"src"}, new(archive.Count)); err != nil {
			t.Fatal(err)
		}
		kept := bytes.Clone(standard.Bytes())
		if err := os.Mkdir(base+"/there", 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(gnutar, "xpf", "-", "--no-same-owner", "-C", base+"/there")
		cmd.Stdin = &standard
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		differ(t, src, base+"/there/src")
		if _, err := unpack(t, base, archive.Rules{Foreign: true}, bytes.NewReader(kept)); err != nil { // over itself
			t.Fatal(err)
		}
	}
}

func differ(t *testing.T, a, b string) {
	t.Helper()
	diff, err := tree.Diff(a, b)
	if err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// A copy that is cancelled stops.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sources, err := archive.Sources([]string{t.TempDir()}, archive.Here, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.Pack(ctx, io.Discard, sources, new(archive.Count), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Whatever comes, nothing leaves the destination, and nothing odd is in it.
func FuzzUnpack(f *testing.F) {
	for mode := range byte(8) {
		f.Add(pack(f, dir("d"), file("d/f", "text"), link("d/l", "../x"), hard("d/h", "d/f")).Bytes(), mode)
		f.Add(pack(f, holed("x", "100000", "2\n50000\n0\n100000\n0\n"), node("dev", tar.TypeChar)).Bytes(), mode)
		f.Add(pack(f, link("x", ".."), file("x/f", "evil")).Bytes(), mode)
		f.Add(pack(f, dir("./"), gnu("x"), file("a/../b", "")).Bytes(), mode)
	}
	base := f.TempDir()
	in, out := filepath.Join(base, "in"), filepath.Join(base, "out")
	if err := errors.Join(os.Mkdir(out, 0o755), os.WriteFile(out+"/f", []byte("host's"), 0o600)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, mode byte) {
		if err := errors.Join(os.MkdirAll(in, 0o755), os.Symlink("../out", in+"/d")); err != nil {
			t.Fatal(err)
		}
		rules := archive.Rules{Side: archive.Here, Foreign: mode&1 != 0, Setuid: mode&1 != 0, MaxBytes: 1 << 20, Reserve: true}
		if mode&2 != 0 {
			rules.Tops = []string{"x"}
		}
		at := in
		if mode&4 != 0 {
			at += "/new"
		}
		_, _ = unpack(t, at, rules, bytes.NewReader(data)) // mostly refused
		unharmed(t, in, out)
		_ = archive.Standard(t.Context(), io.Discard, bytes.NewReader(data), rules.Tops, new(archive.Count))
		err := filepath.WalkDir(in, func(at string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(at, 0o700)
			}
			return err
		})
		if err := errors.Join(err, os.RemoveAll(in)); err != nil {
			t.Fatal(err)
		}
	})
}

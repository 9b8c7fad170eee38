package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func keep(t testing.TB, dir string) *Keeper {
	t.Helper()
	k, err := Keep(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func say(t testing.TB, k *Keeper, s string) {
	t.Helper()
	if _, err := k.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, dir string) (begin int64, text string) {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	buf := make([]byte, l.End()-l.Begin())
	if n, err := l.ReadAt(buf, l.Begin()); err != nil || n != len(buf) {
		t.Fatalf("read %d of %d bytes: %v", n, len(buf), err)
	}
	return l.Begin(), string(buf)
}

func TestBoundedAndTheTailWhole(t *testing.T) {
	dir := t.TempDir()
	k := keep(t, dir)
	say(t, k, "the last boot panicked\n")
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	mark, _ := k.End()
	say(t, k, "first\r\nsecond\r\n")
	if got := k.Tail(mark); got != "first\nsecond" {
		t.Errorf("%q", got)
	}
	say(t, k, strings.Repeat("x", maxLog-30)+"\nlast words\n")
	say(t, k, "and after the rotation\n")
	if got := k.Tail(mark); !strings.HasSuffix(got, "last words\nand after the rotation") || len(got) > tailBytes {
		t.Errorf("after a rotation: %d bytes, %q", len(got), got[max(0, len(got)-60):])
	}
	for range 5 {
		say(t, k, strings.Repeat("y", maxLog-1))
	}
	for _, name := range []string{logName, logName + older} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > maxLog {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// A guest that says little, but often, does not fill the disk with times.
func TestTimesAreBounded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, dir)
		for range maxTimes / 16 {
			say(t, k, ".")
			time.Sleep(grain)
		}
	})
	for _, name := range []string{timesName, timesName + older} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > maxTimes+64 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// An offset means the same byte for good: over rotations, writers that are
// killed at any point of one, and lines that were written in part.
func TestOffsetsStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "console-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		var said bytes.Buffer
		k, err := Keep(dir)
		if err != nil {
			t.Fatal(err)
		}
		file := func(name string) string { return filepath.Join(dir, name) }
		for range rapid.IntRange(1, 12).Draw(t, "acts") {
			switch rapid.SampledFrom([]string{"say", "say", "rotate", "killed", "killed in a rotation"}).Draw(t, "act") {
			case "say":
				text := fmt.Sprintf("%d.", said.Len()) + strings.Repeat("z", rapid.SampledFrom([]int{0, 1, 100, maxLog / 2}).Draw(t, "more"))
				if _, err := k.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
				said.WriteString(text)
			case "rotate":
				err = k.Rotate()
			case "killed":
				k.Close()
				if f, ferr := os.OpenFile(file(timesName), os.O_APPEND|os.O_WRONLY, 0); ferr == nil {
					f.WriteString(rapid.SampledFrom([]string{"", "12", "12 3"}).Draw(t, "cut"))
					f.Close()
				}
				k, err = Keep(dir)
			case "killed in a rotation":
				k.Close()
				steps := []func() error{
					func() error { return os.Rename(file(timesName), file(timesName+older)) },
					func() error { return rename(file(logName), file(logName+older)) },
					func() error {
						return os.WriteFile(file(timesName), []byte(Stamp{int64(said.Len()), time.Now()}.line()), 0o600)
					},
				}
				for _, step := range steps[:rapid.IntRange(0, len(steps)).Draw(t, "steps")] {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				check(t, dir, said.String()) // a daemon reads before the next writer comes
				k, err = Keep(dir)
			}
			if err != nil {
				t.Fatal(err)
			}
			check(t, dir, said.String())
		}
		k.Close()
	})
}

// check compares what is kept with all that was said.
func check(t *rapid.T, dir, said string) {
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.End() != int64(len(said)) {
		t.Fatalf("the end is %d, said were %d bytes", l.End(), len(said))
	}
	buf := make([]byte, l.End()-l.Begin())
	if n, err := l.ReadAt(buf, l.Begin()); err != nil || string(buf) != said[l.Begin():] {
		t.Fatalf("%d of %d bytes, or others: %v", n, len(buf), err)
	}
}

// What an older banger kept, without times, is read and gone on with.
func TestWithoutTimes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{logName + older: "old ", logName: "new "} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if begin, text := all(t, dir); begin != 0 || text != "old new " {
			t.Errorf("%d, %q", begin, text)
		}
		keep(t, dir).Close()
	}
	say(t, keep(t, dir), "more")
	if begin, text := all(t, dir); begin != 0 || text != "old new more" {
		t.Errorf("%d, %q", begin, text)
	}
}

// The VMM can put other files in their place.
func TestOtherFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(secret, filepath.Join(dir, logName)); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(dir); err == nil {
		t.Errorf("it follows a link: %+v", l)
	}
	if _, err := Open(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestSinceAndTail(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, dir)
		began := time.Now()
		for i := range 10 {
			say(t, k, fmt.Sprintf("line %d be", i))
			say(t, k, "gins\r\n")
			time.Sleep(time.Minute)
		}
		say(t, k, "no end")
		ask := func(q Query) string {
			p, err := Read(t.Context(), dir, q)
			if err != nil {
				t.Fatal(err)
			}
			return string(p.Data)
		}
		for _, c := range []struct {
			since time.Duration
			tail  int
			want  string
		}{
			{8 * time.Minute, -1, "line 8 begins\r\nline 9 begins\r\nno end"},
			{8*time.Minute + 30*time.Second, -1, "line 9 begins\r\nno end"},
			{time.Hour, -1, ""},
			{-1, 1, "no end"},
			{-1, 2, "line 9 begins\r\nno end"},
			{-1, 0, ""},
			{8 * time.Minute, 1, "no end"},
			{9 * time.Minute, 100, "line 9 begins\r\nno end"},
		} {
			var q Query
			if c.since >= 0 {
				q.Since = began.Add(c.since)
			}
			if c.tail >= 0 {
				q.Tail = &c.tail
			}
			if got := ask(q); got != c.want {
				t.Errorf("since %v, the last %d: %q", c.since, c.tail, got)
			}
		}
		say(t, k, "\n")
		one := 1
		if got := ask(Query{Tail: &one}); got != "no end\n" {
			t.Errorf("a line that has ended: %q", got)
		}
		p, err := Read(t.Context(), dir, Query{})
		if err != nil || len(p.Times) != 11 || !p.Times[3].Time.Equal(began.Add(3*time.Minute).Truncate(time.Millisecond)) || p.Times[3].Offset != 45 {
			t.Errorf("%+v, %v", p.Times, err)
		}
	})
}

// All that is said while somebody reads is read, once, whatever is rotated.
func TestReadOn(t *testing.T) {
	dir := t.TempDir()
	k := keep(t, dir)
	var said strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&said, "%d\n", i)
	}
	want := said.String() // 1.3 MB
	var writer sync.WaitGroup
	writer.Go(func() {
		for rest := want; rest != ""; {
			part := rest[:min(len(rest), 8191)]
			rest = rest[len(part):]
			say(t, k, part)
			time.Sleep(100 * time.Microsecond)
		}
	})
	defer writer.Wait()
	var got strings.Builder
	for off := int64(0); got.Len() < len(want); {
		p, err := Read(t.Context(), dir, Query{Offset: &off, Wait: time.Minute})
		if err != nil || p.Offset != off || len(p.Data) == 0 {
			t.Fatalf("at %d: %d bytes at %d, %v", off, len(p.Data), p.Offset, err)
		}
		got.Write(p.Data)
		off += int64(len(p.Data))
	}
	if got.String() != want {
		t.Error("other bytes")
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	end := int64(len(want))
	if _, err := Read(ctx, dir, Query{Offset: &end, Wait: time.Minute}); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader that leaves: %v", err)
	}
}

// FuzzTimes: whatever lies in the files, reading ends and stays in bounds.
func FuzzTimes(f *testing.F) {
	f.Add([]byte("0 5\n3 99\n"), []byte("hello\n"))
	f.Add([]byte("9223372036854775807 9223372036854775807\n"), []byte("x"))
	f.Add([]byte("-1 0\n\n 7\nx y\n"), []byte(""))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, times, log []byte) {
		for name, data := range map[string][]byte{timesName: times, logName: log} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		one := 1
		for _, q := range []Query{{}, {Tail: &one}, {Since: time.Unix(5, 0)}} {
			p, err := Read(t.Context(), dir, q)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if len(p.Data) > maxPart || p.Offset < 0 || p.Offset+int64(len(p.Data)) > p.End {
				t.Fatalf("%+v", p)
			}
		}
	})
}

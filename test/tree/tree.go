// Package tree makes random trees of files, and compares two.
package tree

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Draw decides: it returns a number from 0 to n-1.
type Draw func(n int) int

// Seeded is a Draw of its own.
func Seeded(seed uint64) Draw {
	return rand.New(rand.NewPCG(seed, 1)).IntN
}

// Grow makes a tree at dir, which is not there: files with and without holes,
// hard and symbolic links, directories, of all modes, times and odd names.
func Grow(dir string, draw Draw) error {
	g := grower{draw: draw}
	if err := g.dir(dir, 3); err != nil {
		return err
	}
	for _, d := range slices.Backward(g.dirs) { // what is in them is done
		if err := errors.Join(g.date(d), os.Chmod(d, g.mode(0o700))); err != nil {
			return err
		}
	}
	return nil
}

type grower struct {
	draw        Draw
	dirs, files []string
}

var oddNames = []string{
	"plain", "with space", "-dash", "...", "..a", "new\nline", "\x1b[31mred", "täxt", "\xff\xfe", `back\slash`, ".hidden",
	strings.Repeat("long", 63), "a:b", "~", "GNUSparseFile.0",
}

func (g *grower) dir(at string, deep int) error {
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	g.dirs = append(g.dirs, at)
	for i := range g.draw(8) {
		name := filepath.Join(at, fmt.Sprint(i, oddNames[g.draw(len(oddNames))]))
		if len(filepath.Base(name)) > 255 {
			name = name[:len(name)-1]
		}
		if err := g.one(name, deep); err != nil {
			return err
		}
	}
	return nil
}

func (g *grower) one(at string, deep int) error {
	switch kind := g.draw(10); {
	case kind < 2 && deep > 0:
		return g.dir(at, deep-1)
	case kind == 3:
		to := []string{"plain", "/etc/passwd", "../../..", strings.Repeat("x/", 200)}[g.draw(4)]
		return errors.Join(os.Symlink(to, at), g.date(at))
	case kind == 4 && len(g.files) > 0:
		return os.Link(g.files[g.draw(len(g.files))], at)
	}
	return g.file(at)
}

func (g *grower) mode(least int) fs.FileMode {
	mode := fs.FileMode(g.draw(0o1000) | least)
	if g.draw(8) == 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

func (g *grower) date(at string) error {
	t := unix.NsecToTimespec(int64(g.draw(4_000_000_000))*1e9 + int64(g.draw(1_000_000_000)))
	return unix.UtimesNanoAt(unix.AT_FDCWD, at, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

func (g *grower) file(at string) error {
	f, err := os.Create(at)
	if err != nil {
		return err
	}
	defer f.Close()
	size := []int{0, 1, 511, 512, 513, 4096, 40_000, 300_000}[g.draw(8)]
	seed := rand.NewChaCha8([32]byte{byte(g.draw(256))})
	if _, err := io.CopyN(f, seed, int64(size)); err != nil {
		return err
	}
	if g.draw(3) == 0 { // holes
		end := int64(size)
		for range g.draw(20) {
			end += int64(g.draw(1 << 20))
			data := make([]byte, g.draw(9000))
			seed.Read(data)
			if _, err := f.WriteAt(data, end); err != nil {
				return err
			}
			end += int64(len(data))
		}
		if err := f.Truncate(end + int64(g.draw(1<<20))); err != nil {
			return err
		}
	}
	g.files = append(g.files, at)
	return errors.Join(g.date(at), os.Chmod(at, g.mode(0o400)))
}

// Diff says what differs between two trees: content, modes, times, links, and
// whether the second holds its holes. "" is nothing.
func Diff(a, b string) (string, error) {
	x, err := list(a)
	if err != nil {
		return "", err
	}
	y, err := list(b)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	for name, one := range x {
		if two, ok := y[name]; !ok {
			fmt.Fprintf(&out, "%q is missing\n", name)
		} else if one.text != two.text {
			fmt.Fprintf(&out, "%q is %s, not %s\n", name, two.text, one.text)
		} else if two.blocks > one.blocks+64 {
			fmt.Fprintf(&out, "%q has %d blocks, not %d\n", name, two.blocks, one.blocks)
		}
	}
	for name := range y {
		if _, ok := x[name]; !ok {
			fmt.Fprintf(&out, "%q is there\n", name)
		}
	}
	return out.String(), nil
}

type node struct {
	text   string
	blocks int64
}

func list(root string) (map[string]node, error) {
	all, first := map[string]node{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, st := strings.TrimPrefix(at, root), info.Sys().(*syscall.Stat_t)
		n := node{text: fmt.Sprint(info.Mode(), " of ", info.ModTime().UTC().Format(time.RFC3339Nano))}
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			to, err := os.Readlink(at)
			if err != nil {
				return err
			}
			n.text += " to " + to
		case 0:
			sum, err := digest(at)
			if err != nil {
				return err
			}
			if first[st.Ino] == "" {
				first[st.Ino] = name
			}
			n.text += fmt.Sprintf(" %d bytes %x, first %q", info.Size(), sum[:6], first[st.Ino])
			n.blocks = st.Blocks
		}
		all[name] = n
		return nil
	})
	return all, err
}

func digest(at string) ([]byte, error) {
	f, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

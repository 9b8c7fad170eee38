// Package console keeps the newest of what a guest says on its serial line, in
// files of bounded size, with the times at which it came. One process writes
// them; any may read, by the offset of a byte since the VM was made.
package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The files in a VM's directory, and what the older one of each is called. Of
// the times each line is "OFFSET MILLISECONDS": the bytes from there on came at
// that time (Unix) or later. The first line's offset is that of the log's first byte.
const (
	logName   = "console.log"
	timesName = "console.times"
	older     = ".1"
)

const (
	maxLog   = 1 << 20   // bytes of each of the two logs
	maxTimes = 512 << 10 // bytes of each of the two lists of times
	grain    = time.Second
)

// MaxOffset is greater than any byte's: nobody says so much.
const MaxOffset = 1 << 60

// Stamp says that the bytes from Offset on came at Time or later.
type Stamp struct {
	Offset int64
	Time   time.Time
}

func (s Stamp) line() string { return fmt.Sprintf("%d %d\n", s.Offset, s.Time.UnixMilli()) }

// parseStamp reads a line of times.
func parseStamp(line string) (Stamp, bool) {
	off, ms, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	offset, err1 := strconv.ParseInt(off, 10, 64)
	milli, err2 := strconv.ParseInt(ms, 10, 64)
	return Stamp{offset, time.UnixMilli(milli)}, ok && err1 == nil && err2 == nil && offset >= 0 && offset <= MaxOffset && strings.HasSuffix(line, "\n")
}

// segment is a log with its times; either file may be missing (nil).
type segment struct {
	log, times *os.File
	base, size int64 // the offset of its first byte, and its length
}

func (s segment) end() int64 { return s.base + s.size }

func (s segment) close() {
	for _, f := range []*os.File{s.log, s.times} {
		if f != nil {
			_ = f.Close() // opened for reading only
		}
	}
}

// openFile opens a file for reading: a regular one, and no link to another.
func openFile(dir, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the console's file: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is no file of the console", name), err, f.Close())
	}
	return f, nil
}

// length is a file's; a missing one has none.
func length(f *os.File) (int64, error) {
	if f == nil {
		return 0, nil
	}
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("looking at the console's file: %w", err)
	}
	return info.Size(), nil
}

// first is the offset on the first line of times.
func first(times *os.File) (int64, bool) {
	if times == nil {
		return 0, false
	}
	line, err := bufio.NewReader(io.NewSectionReader(times, 0, 64)).ReadString('\n')
	if err != nil {
		return 0, false
	}
	s, ok := parseStamp(line)
	return s.Offset, ok
}

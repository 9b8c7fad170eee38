package firecracker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

const (
	maxLog  = 256 << 10
	keepLog = 64 << 10 // of a log that has grown too long
	maxLine = 4 << 10
)

// keepLog writes Firecracker's log down until it ends. A guest can have much
// logged, so the file is bounded; errors are also in our own log.
func (m *machine) keepLog(pipe *os.File) {
	defer close(m.logged)
	defer pipe.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // Close of the machine ends us too
		select {
		case <-m.ended:
			_ = pipe.Close() // nothing was written through it
		case <-stop:
		}
	}()
	path := filepath.Join(m.spec.Dir, rundir.LogFile)
	for in := bufio.NewReaderSize(pipe, maxLine); ; {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			if err := appendLog(path, line); err != nil {
				m.log.Debug("the VMM's log cannot be kept", "name", m.spec.Name, "err", err)
			}
			if bytes.Contains(line, []byte(caught)) {
				m.doomed.Do(func() { go m.mustEnd() })
			}
			if bytes.Contains(line, []byte(":ERROR]")) || bytes.Contains(line, []byte(":WARN]")) {
				m.log.Debug("the VMM complains", "name", m.spec.Name, "said", hostexec.LastLine(line))
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// appendLog adds to a log and keeps its end when it is too long. Firecracker
// has it open too, for its last words, and appends as well.
func appendLog(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the VMM's log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size()+int64(len(line)) > maxLog {
		end := make([]byte, keepLog)
		n, err := f.ReadAt(end, max(0, info.Size()-keepLog))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		line = append(append([]byte{}, end[:n]...), line...)
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	_, err = f.Write(line)
	return err
}

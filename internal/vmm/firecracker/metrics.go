package firecracker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// Firecracker writes a line of JSON, some kilobytes, to its metrics every
// minute, when asked, and at its end: each has what came since the last. So
// the last one says how it ended, whoever was there to see. A guest cannot
// have more written. What has been counted is kept in fileTotals and cut out
// of the file before that grows long.

const (
	fileTotals = "vmm.metrics"
	// foldAt is how much is counted before it is cut out.
	foldAt = 1 << 20
	// maxMetrics bounds one reading, and so one line.
	maxMetrics = 2 << 20
)

// totals is fileTotals.
type totals struct {
	Offset int64                        `json:"offset"` // all before is counted
	Drives map[disk.Slot]vmm.DriveStats `json:"drives"`
	End    endCounts                    `json:"end"`
}

// endCounts are the counts that say how it ended.
type endCounts struct {
	Resets   int64            `json:"resets"` // by the keyboard controller
	Seccomp  int64            `json:"seccomp"`
	Panics   int64            `json:"panics"`
	Failures int64            `json:"failures"` // of vCPUs
	Signals  map[string]int64 `json:"signals,omitempty"`
}

func (e endCounts) reset() bool { return e.Resets > 0 && e.fault() == "" }

// fault is what killed it, "" for nothing that it counted.
func (e endCounts) fault() string {
	switch {
	case e.Seccomp > 0:
		return exitCodes[148]
	case e.Panics > 0:
		return "it panicked"
	case e.Failures > 0:
		return "the host's KVM failed a vCPU"
	}
	for _, name := range []string{"sigbus", "sigsegv", "sigxfsz", "sigxcpu", "sighup", "sigill"} {
		if e.Signals[name] > 0 {
			return "it caught " + strings.ToUpper(name)
		}
	}
	return ""
}

// meter counts the metrics of one VM.
type meter struct {
	dir string

	mu     sync.Mutex // held across reads of the file, which is the leaf here
	loaded bool
	sum    totals
	folded int64 // the offset in fileTotals
}

func newMeter(dir string) *meter { return &meter{dir: dir} }

func (t *meter) end() endCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum.End
}

// read counts what was written since the last time.
func (t *meter) read() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		return err
	}
	f, err := openRun(t.dir, fileMetrics, unix.O_RDWR|unix.O_NONBLOCK, unix.S_IFREG)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, t.sum.Offset, maxMetrics))
	if err != nil {
		return fmt.Errorf("reading the VMM's metrics: %w", err)
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole == 0 && len(text) == maxMetrics {
		whole = len(text) // no line of Firecracker's: it may be a hostile guest's by now
	}
	for line := range bytes.Lines(text[:whole]) {
		t.sum.add(line)
	}
	t.sum.Offset += int64(whole)
	if t.sum.Offset-t.folded < foldAt {
		return nil
	}
	return t.fold(f)
}

// load takes over what an earlier monitor counted.
func (t *meter) load() error {
	if t.loaded {
		return nil
	}
	b, err := rundir.ReadEnd(filepath.Join(t.dir, fileTotals), 64<<10)
	if err == nil {
		err = json.Unmarshal(b, &t.sum)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the totals of the VMM's metrics: %w", err)
	}
	t.loaded, t.folded = true, t.sum.Offset
	return nil
}

// fold writes the totals down and frees what they were counted from.
func (t *meter) fold(f *os.File) error {
	b, err := json.Marshal(t.sum)
	if err != nil {
		return err
	}
	path := filepath.Join(t.dir, fileTotals)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("keeping the totals of the VMM's metrics: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keeping the totals of the VMM's metrics: %w", err)
	}
	t.folded = t.sum.Offset
	// The VMM goes on at its own offset, so the file is hollowed out, not cut.
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, t.folded)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("freeing the VMM's metrics: %w", err)
	}
	return nil
}

// add counts one line. What is not understood counts nothing.
func (s *totals) add(line []byte) {
	var parts map[string]json.RawMessage
	if json.Unmarshal(bytes.TrimLeft(line, "\x00"), &parts) != nil {
		return
	}
	for name, part := range parts {
		var n map[string]json.RawMessage
		if json.Unmarshal(part, &n) != nil {
			continue
		}
		count := func(key string) int64 {
			var v int64
			if json.Unmarshal(n[key], &v) != nil || v < 0 {
				return 0
			}
			return v
		}
		switch name {
		case "i8042":
			s.End.Resets += count("reset_count")
		case "seccomp":
			s.End.Seccomp += count("num_faults")
		case "vmm":
			s.End.Panics += count("panic_count")
		case "vcpu":
			s.End.Failures += count("failures")
		case "signals":
			for _, key := range []string{"sigbus", "sigsegv", "sigxfsz", "sigxcpu", "sighup", "sigill"} {
				if v := count(key); v > 0 {
					if s.End.Signals == nil {
						s.End.Signals = map[string]int64{}
					}
					s.End.Signals[key] += v
				}
			}
		}
		if slot, ok := strings.CutPrefix(name, "block_"); ok {
			s.addDrive(disk.Slot(slot), count)
		}
	}
}

func (s *totals) addDrive(slot disk.Slot, count func(string) int64) {
	for _, known := range disk.Slots {
		if slot != known {
			continue
		}
		if s.Drives == nil {
			s.Drives = map[disk.Slot]vmm.DriveStats{}
		}
		d := s.Drives[slot]
		d.Reads += count("read_count")
		d.Writes += count("write_count")
		d.ReadBytes += count("read_bytes")
		d.WrittenBytes += count("write_bytes")
		s.Drives[slot] = d
	}
}

// drives is a copy of the drives' counts.
func (t *meter) drives() map[disk.Slot]vmm.DriveStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[disk.Slot]vmm.DriveStats{}
	for slot, d := range t.sum.Drives {
		out[slot] = d
	}
	return out
}

// Stats counts what the machine did.
func (m *machine) Stats(ctx context.Context) (vmm.Stats, error) {
	if m.gone() {
		return vmm.Stats{}, fmt.Errorf("%s: %w", m.spec.Name, vmm.ErrNotRunning)
	}
	if err := m.api.FlushMetrics(ctx); err != nil {
		return vmm.Stats{}, err
	}
	if err := m.meter.read(); err != nil {
		return vmm.Stats{}, err
	}
	cpu, resident, err := hostexec.Usage(m.proc.ID().PID)
	return vmm.Stats{CPU: cpu, Resident: resident, Drives: m.meter.drives()}, err
}

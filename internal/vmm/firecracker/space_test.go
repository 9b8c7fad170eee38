package firecracker

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
)

// lookedAt is room on a disk, with a signal for each look at it.
type lookedAt struct {
	bytes atomic.Int64
	looks chan struct{}
}

func roomOf(bytes int64) *lookedAt {
	r := &lookedAt{looks: make(chan struct{}, 1)}
	r.bytes.Store(bytes)
	return r
}

func (r *lookedAt) free(string) (int64, error) {
	select {
	case r.looks <- struct{}{}:
	default:
	}
	return r.bytes.Load(), nil
}

// again waits until the room has been looked at some times more.
func (r *lookedAt) again(times int) {
	for range times + 1 {
		<-r.looks
	}
}

func nextEvent(t *testing.T, m vmm.Machine) vmm.Event {
	t.Helper()
	select {
	case e := <-m.Events():
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event comes")
		return vmm.Event{}
	}
}

// A guest is paused before it fills the host's disk, the next monitor knows
// why, and it goes on once there is room and somebody says so.
func TestPausedBeforeTheDiskIsFull(t *testing.T) {
	room := roomOf(spaceReserve + 1<<20)
	driver := func() *Driver {
		d := fakeDriver(t, fakeBinary(t))
		d.free = room.free
		return d
	}
	spec := fakeSpec(t)
	m, err := driver().Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	room.again(2) // there is enough
	room.bytes.Store(spaceReserve - 1)
	full := vmm.Event{Type: vmm.EventPaused, Reason: vmm.PauseNoSpace}
	if e := nextEvent(t, m); e != full {
		t.Errorf("the first event is %+v", e)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err = driver().Connect(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer m.Kill(t.Context())
	if e := nextEvent(t, m); e != full || !m.Facts().Paused {
		t.Errorf("the next monitor finds %+v, %+v", e, m.Facts())
	}
	for _, bytes := range []int64{0, 1 << 40} { // too early, and in time
		room.bytes.Store(bytes)
		if err := m.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := nextEvent(t, m); e.Type != vmm.EventResumed {
			t.Errorf("after Resume comes %+v", e)
		}
		if bytes > 0 {
			break
		}
		if e := nextEvent(t, m); e != full {
			t.Errorf("after a Resume without room comes %+v", e)
		}
	}
	room.again(2)
	select {
	case e := <-m.Events():
		t.Errorf("with room there is %+v", e)
	default:
	}
}

// Who finds a guest paused without a record of why looks at the disk.
func TestPausedWithoutARecord(t *testing.T) {
	for free, want := range map[int64]string{spaceReserve - 1: vmm.PauseNoSpace, 1 << 40: vmm.PauseAsked} {
		spec, room := fakeSpec(t), roomOf(1<<40)
		m, err := fakeDriver(t, fakeBinary(t)).Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.(*machine).api.Pause(t.Context()), m.Close()); err != nil {
			t.Fatal(err)
		}
		room.bytes.Store(free)
		d := fakeDriver(t, fakeBinary(t))
		d.free = room.free
		if m, err = d.Connect(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		if e := nextEvent(t, m); e != (vmm.Event{Type: vmm.EventPaused, Reason: want}) {
			t.Errorf("with %d bytes left it is %+v", free, e)
		}
		if err := errors.Join(m.Kill(t.Context()), m.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A pause of a paused guest changes nothing, its reason least of all.
func TestPausedTwice(t *testing.T) {
	spec := fakeSpec(t)
	m, err := fakeDriver(t, fakeBinary(t)).Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	fc := m.(*machine)
	if err := errors.Join(fc.Pause(t.Context()), fc.pauseFull(t.Context())); err != nil {
		t.Fatal(err)
	}
	if e := nextEvent(t, m); e.Reason != vmm.PauseAsked || fc.whyPaused() != vmm.PauseAsked {
		t.Errorf("it was asked for: %+v, %q", e, fc.whyPaused())
	}
	if err := errors.Join(m.Kill(t.Context()), m.Close()); err != nil {
		t.Error(err)
	}
	for e := range m.Events() {
		t.Errorf("an event: %+v", e)
	}
}

// Where a pause would kill the guest's vsock, or nobody can tell the room, it
// is said once and the guest runs.
func TestDiskThatCannotBeGuarded(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		err     error
		want    string
	}{
		"a version that must not be paused": {"1.16.0", nil, "cannot just be paused"},
		"a disk that cannot be asked":       {"1.12.1", errors.New("stale handle"), "stale handle"},
	} {
		t.Run(name, func(t *testing.T) {
			var said lines
			d, room := fakeDriver(t, fakeBinary(t, "-fake-version", c.version)), roomOf(0)
			d.log = slog.New(slog.NewTextHandler(&said, nil))
			d.free = func(path string) (int64, error) {
				n, _ := room.free(path)
				return n, c.err
			}
			m, err := d.Start(t.Context(), fakeSpec(t))
			if err != nil {
				t.Fatal(err)
			}
			room.again(6)
			if err := errors.Join(m.Kill(t.Context()), m.Close()); err != nil {
				t.Error(err)
			}
			if said := said.String(); strings.Count(said, "the guest is not kept from filling the host's disk") != 1 || !strings.Contains(said, c.want) {
				t.Errorf("the log is %s", said)
			}
			for e := range m.Events() {
				t.Errorf("an event: %+v", e)
			}
		})
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestNextLook(t *testing.T) {
	for free, want := range map[int64]time.Duration{
		0:                          spaceSoonest,
		spaceReserve:               spaceSoonest,
		spaceReserve + fillRate:    500 * time.Millisecond,
		spaceReserve + fillRate<<4: spaceLatest,
		1 << 62:                    spaceLatest,
	} {
		if got := nextLook(free); got != want {
			t.Errorf("with %d bytes it is looked at again after %v, not %v", free, got, want)
		}
	}
}

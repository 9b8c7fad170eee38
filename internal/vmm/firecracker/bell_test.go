package firecracker

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// An agent that is not there yet is reached at its ring, and not tried often.
func TestBell(t *testing.T) {
	m, calls := bellRig(t)
	go func() {
		<-calls // refused; the next one comes with the ring, or much later
		ring, err := net.Dial("unix", filepath.Join(m.spec.Dir, dirRun, fileBell))
		if err != nil {
			t.Error(err)
			return
		}
		ring.Close()
	}()
	reached(t, m)
	if _, err := net.Dial("unix", filepath.Join(m.spec.Dir, dirRun, fileBell)); err == nil {
		t.Error("it may be rung again")
	}
	m.bell.close()
	if _, err := os.Lstat(filepath.Join(m.spec.Dir, dirRun, fileBell)); !os.IsNotExist(err) {
		t.Errorf("the bell stays: %v", err)
	}
}

// A guest that never rings is reached too, and a bell that nobody rings goes.
func TestBellThatIsNotRung(t *testing.T) {
	m, _ := bellRig(t)
	reached(t, m)
	m.bell.close()
	m.bell.close()
}

// reached wants the agent to be there in time.
func reached(t *testing.T, m *machine) {
	t.Helper()
	ctx, cancel := within(t, 10*time.Second)
	defer cancel()
	conn, err := m.reach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// bellRig is a machine with a bell, whose guest refuses one call and takes the
// next; calls tells of each.
func bellRig(t *testing.T) (_ *machine, calls <-chan struct{}) {
	t.Helper()
	t.Chdir(t.TempDir()) // for short names
	if err := os.Mkdir(dirRun, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dirRun, fileVsock))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	called := make(chan struct{}, 16)
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil && n > 0 {
				_, _ = conn.Write([]byte("OK 1073741824\n")) // the test reads it
			}
			called <- struct{}{}
			conn.Close()
		}
	}()
	id, err := hostexec.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	proc, err := hostexec.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proc.Close() })
	m := &machine{spec: vmm.Spec{Name: "x", Dir: "."}, proc: proc}
	if m.bell, err = hangBell("."); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.bell.close)
	return m, called
}

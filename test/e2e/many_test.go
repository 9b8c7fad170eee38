package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Many VMs that come and go side by side leave nothing: no process, no
// directory, no descriptor of the daemon's, no row.
func TestLongManyVMs(t *testing.T) {
	e := private(t)
	if os.Getenv("BANGER_FAKE") == "" {
		t.Skip("only the fake VMM boots so many guests in a test's time")
	}
	const many, atOnce = 200, 20
	const idle = 8                                 // connections of the store that wait for the next burst; what each VM left would be many
	e.ok(t, "run", "--rm", "debian", "--", "true") // what is made once is made
	pid := e.daemonPID(t)
	before := descriptors(t, pid)
	gate := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			word := fmt.Sprintf("guest %d", i)
			r := e.banger(t, "run", "--rm", "-m", "128M", "debian", "--", "echo", word)
			if r.code != 0 || r.stdout != word+"\n" {
				t.Errorf("VM %d: %s", i, r)
			}
		})
	}
	all.Wait()
	if out := e.ok(t, "ls", "-a", "-q"); out != "" {
		t.Errorf("left: %s", out)
	}
	await(t, "nothing to be left", func() bool { return len(e.residue(t)) == 0 })
	await(t, "the daemon to let go of its descriptors", func() bool { return descriptors(t, pid) <= before+idle })
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

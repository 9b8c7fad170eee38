package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/banger-vm/banger/internal/calm"
	"github.com/banger-vm/banger/internal/guestd/agent"
)

// identityWait bounds how long the image's init waits for the host.
const identityWait = 60 * time.Second

// agentCgroup is the agent's own; commands get others beside it.
const agentCgroup = "/sys/fs/cgroup/banger/agent"

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// unsignalled keeps Go from sending signals to its own threads, which costs an
// emulated CPU much; the agent never loops for long without a call.
const unsignalled = "GODEBUG=asyncpreemptoff=1"

var initEnv = []string{"HOME=/", "TERM=linux", path}

// findInit is the image's init, "" without one.
func findInit() string {
	for _, path := range []string{"/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/etc/init", "/bin/init"} {
		st, err := os.Stat(path)
		if err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// startAgent runs the agent and returns when it has set the identity, or when
// that has taken too long. The agent outlives this process's next programs.
func (b *boot) startAgent() error {
	report, err := json.Marshal(b.report)
	if err != nil {
		return err
	}
	set, told, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	defer set.Close()
	proc, err := b.spawnAgent(told, string(report))
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	if err := set.SetReadDeadline(time.Now().Add(identityWait)); err != nil {
		return fmt.Errorf("waiting for the agent: %w", err)
	}
	b.agent = true
	_, err = set.Read(make([]byte, 1))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.note("no identity came from the host within %s, the boot went on without", identityWait)
		return nil
	}
	state, err := proc.Wait()
	if err != nil {
		return fmt.Errorf("the agent let go of its boot: %w", err)
	}
	return fmt.Errorf("the agent ended before the guest had its identity: %s", state)
}

func (b *boot) spawnAgent(told *os.File, report string) (*os.Process, error) {
	defer told.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	log, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	sys := &syscall.SysProcAttr{Setsid: true}
	if cgroup, err := makeCgroup(); err == nil {
		defer cgroup.Close()
		sys.UseCgroupFD, sys.CgroupFD = true, int(cgroup.Fd())
	} else {
		b.try(fmt.Errorf("the agent has no cgroup of its own: %w", err))
	}
	// The very file that runs here: an emulator has its code translated already.
	const program = 4
	attr := &os.ProcAttr{
		Dir:   "/",
		Env:   []string{path, "HOME=/root", unsignalled, agent.BootEnv + "=" + report},
		Files: []*os.File{null, log, log, told, program: b.self},
		Sys:   sys,
	}
	var proc *os.Process
	err = calm.Start(calm.Late, func() (err error) {
		proc, err = os.StartProcess("/proc/self/fd/"+strconv.Itoa(program), []string{agent.Name}, attr)
		return err
	})
	if err != nil {
		return nil, err
	}
	score := filepath.Join("/proc", strconv.Itoa(proc.Pid), "oom_score_adj")
	b.try(os.WriteFile(score, []byte("-1000"), 0))
	return proc, nil
}

func makeCgroup() (*os.File, error) {
	if err := os.MkdirAll(agentCgroup, 0o755); err != nil {
		return nil, err
	}
	return os.Open(agentCgroup)
}

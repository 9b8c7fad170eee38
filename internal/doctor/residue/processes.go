package residue

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/hostexec"
)

// lockFile is what a VMM holds for as long as it lives, whoever started it.
const lockFile = "vmm.lock"

// processes finds monitors and VMMs. A name proves nothing: a VMM is who holds
// the lock in a VM's directory, a monitor who was told that directory and is in it.
func (l look) processes(ctx context.Context) (strays []Stray, _ error) {
	entries, err := os.ReadDir(l.Proc)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !l.mine(e) {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		what, id := "VMM", l.lockedVM(pid)
		if id == "" {
			what, id = "monitor", l.monitoredVM(pid)
		}
		if id == "" {
			continue
		}
		if why := l.disowned(id); why != "" {
			s := Stray{Kind: Process, What: strconv.Itoa(pid), Why: "it is a " + what + ", but " + why, Command: "kill -9 " + strconv.Itoa(pid)}
			vm, recorded := l.VMs[id]
			if recorded { // by a record that came back from a copy
				s.Command = "banger start " + doctor.Quote(vm.Name) + " # takes it over, with nothing lost"
			}
			s.Sure = !recorded && !there(filepath.Join(l.vms(), id)) // its disks are gone: nothing could be kept of it
			if s.Process, err = hostexec.Identify(pid); err != nil {
				continue // it has ended
			}
			strays = append(strays, s)
		}
	}
	return strays, nil
}

// mine leaves out the processes of others, into which nobody can look anyway.
func (l look) mine(e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(st.Uid) == l.UID || l.UID == 0)
}

func (l look) at(pid int, name string) string {
	return filepath.Join(l.Proc, strconv.Itoa(pid), name)
}

// target is where a link of the kernel's leads, or led before that was removed.
func target(link string) string {
	to, err := os.Readlink(link)
	if err != nil {
		return "" // it has ended, or is not ours to look at
	}
	return strings.TrimSuffix(to, " (deleted)")
}

// lockedVM is the VM whose lock a process holds, "" for most processes.
func (l look) lockedVM(pid int) string {
	fds, err := os.ReadDir(l.at(pid, "fd"))
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		dir, name := filepath.Split(target(l.at(pid, "fd/"+fd.Name())))
		if name != lockFile {
			continue
		}
		id, ok := l.vmOf(filepath.Clean(dir))
		if !ok {
			continue
		}
		info, err := os.ReadFile(l.at(pid, "fdinfo/"+fd.Name()))
		if err == nil && strings.Contains(string(info), "OFDLCK") {
			return id
		}
	}
	return ""
}

// monitoredVM is the VM that a process is the monitor of, "" for most processes.
func (l look) monitoredVM(pid int) string {
	line, err := os.ReadFile(l.at(pid, "cmdline"))
	if err != nil {
		return ""
	}
	args := strings.Split(string(line), "\x00")
	at := slices.Index(args, "--dir")
	if len(args) < 2 || args[1] != "monitor" || at < 0 || at+1 >= len(args) {
		return ""
	}
	id, ok := l.vmOf(args[at+1])
	in, same := l.vmOf(target(l.at(pid, "cwd")))
	if !ok || !same || in != id {
		return ""
	}
	return id
}

// units finds the units of monitors whose VM has no use for them.
func (l look) units(ctx context.Context) (strays []Stray, _ error) {
	services, err := l.Monitors(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		id, ok := l.vmOf(s.Dir)
		if !ok {
			continue // of another state directory
		}
		if why := l.disowned(id); why != "" {
			strays = append(strays, Stray{Kind: Unit, What: s.Name, Why: "it keeps a monitor, but " + why, Command: l.Stop(s.Name)})
		}
	}
	return strays, nil
}

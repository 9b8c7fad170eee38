package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/guest/wire"
)

// guest is a boot under way, in the guest's first process: what a kernel and
// the initramfs's /init do where there is a machine.
type guest struct {
	plan
	root disk.RootMode // "": /init of the initramfs is all there is
	user string
}

// runGuest becomes the guest. It does not return.
func runGuest() {
	err := boot()
	fmt.Fprintf(os.Stderr, "\nBANGER-FATAL: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintf(os.Stderr, "BANGER-FATAL: the guest cannot be powered off: %v\n", err)
	os.Exit(1)
}

func boot() error {
	g := &guest{}
	if err := json.Unmarshal([]byte(os.Getenv(planEnv)), &g.plan); err != nil {
		return fmt.Errorf("reading what to boot: %w", err)
	}
	for _, arg := range g.Cmdline {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case wire.ArgRoot:
			g.root = disk.RootMode(value)
		case wire.ArgUser:
			g.user = value
		}
	}
	// What our starter ignores, as a shell does for its background, the guest must hear.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	fmt.Printf("[    0.000000] fakevmm: there is no kernel, and so no more of its words\n")
	init, err := readInit(g.Initramfs)
	if err != nil {
		return err
	}
	if err := g.limit(); err != nil {
		return err
	}
	if err := g.furnish(init); err != nil {
		return err
	}
	if g.root == "" {
		if err := errors.Join(dropCapabilities(), let()); err != nil {
			return err
		}
		return fmt.Errorf("running /init: %w", syscall.Exec("/init", []string{"/init"}, []string{"HOME=/"}))
	}
	if err := g.enterRoot(); err != nil {
		return err
	}
	return g.handOver(init)
}

// limit gives the guest as many processors as it is to have, where there are
// so many, and the open files of a login.
func (g *guest) limit() error {
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("asking for the processors: %w", err)
	}
	for cpu := 0; some.Count() < min(g.CPUs, all.Count()); cpu++ {
		if all.IsSet(cpu) {
			some.Set(cpu)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		var id int
		if _, err := fmt.Sscan(thread.Name(), &id); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &some); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("taking some of the processors: %w", err)
		}
	}
	err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1024, Max: 1 << 20})
	var has unix.Rlimit
	if errors.Is(err, unix.EPERM) { // this root may not
		if err = unix.Getrlimit(unix.RLIMIT_NOFILE, &has); err == nil {
			err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(1024, has.Max), Max: has.Max})
		}
	}
	if err != nil {
		return fmt.Errorf("setting the limit of open files: %w", err)
	}
	return nil
}

// withheld are the capabilities with which a guest could change the host: its
// clock, its modules, its devices. The others are bounded by its namespaces.
var withheld = []uintptr{
	unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_TIME, unix.CAP_SYSLOG, unix.CAP_MKNOD, unix.CAP_MAC_ADMIN,
	unix.CAP_MAC_OVERRIDE, unix.CAP_WAKE_ALARM, unix.CAP_BLOCK_SUSPEND, unix.CAP_AUDIT_CONTROL, unix.CAP_SYS_PACCT,
	unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_DAC_READ_SEARCH, // handles of files outside of its root
}

// dropCapabilities gives them up for all threads, and whatever they become.
func dropCapabilities() error {
	for _, c := range withheld {
		if _, _, e := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); e != 0 && e != unix.EINVAL {
			return fmt.Errorf("giving up a capability: %w", e)
		}
	}
	return nil
}

// has says whether there is a drive that is no empty one.
func (g *guest) has(slot disk.Slot) bool {
	return slices.ContainsFunc(g.Drives, func(d planDrive) bool { return d.Slot == slot && d.Device != 0 })
}

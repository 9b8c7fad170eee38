package host

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/size"
)

func system(f Facts) []doctor.Check {
	return []doctor.Check{
		{Name: "kernel", Theme: themeSystem, Look: f.kernel},
		{Name: "memory", Theme: themeSystem, Look: f.memory},
		{Name: "open-files", Theme: themeSystem, Look: f.openFiles},
		{Name: "file-handles", Theme: themeSystem, Look: f.fileHandles},
		{Name: "clock", Theme: themeSystem, Look: f.clock},
	}
}

// The oldest kernel that has all that banger calls (non-blocking pidfds).
const oldestMajor, oldestMinor = 5, 10

func (f Facts) kernel(context.Context) doctor.Finding {
	release, err := f.Release()
	if err != nil {
		return doctor.Broken(doctor.Fail, err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return doctor.Skipped("the kernel's version %q is not understood", release)
	}
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		fix := install("linux-image-amd64")
		fix.Hint = "Boot the new kernel then."
		return doctor.Bad(doctor.Fail, fix, "Linux %s is too old: %d.%d or later is needed", release, oldestMajor, oldestMinor)
	}
	return doctor.Good("Linux %s", release)
}

// littleMemory is what a VM of the usual size takes.
const littleMemory = 512 << 20

func (f Facts) memory(context.Context) doctor.Finding {
	for line := range strings.Lines(f.line("proc/meminfo")) {
		text, ok := strings.CutPrefix(line, "MemAvailable:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
		switch {
		case err != nil:
			return doctor.Skipped("how much memory is free is not understood: %q", strings.TrimSpace(text))
		case kib<<10 < littleMemory:
			return doctor.Bad(doctor.Warn, doctor.Fix{Command: "banger stop $(banger ps -q)", Hint: "That stops all VMs; or end something else."},
				"only %s of memory is free", size.Format(kib<<10))
		}
		return doctor.Good("%s of memory is free", size.Format(kib<<10))
	}
	return doctor.Skipped("the kernel does not tell how much memory is free")
}

// fewFiles is what the connections of a busy VM's monitor take.
const fewFiles = 4096

func (f Facts) openFiles(context.Context) doctor.Finding {
	n, err := f.OpenFiles()
	switch {
	case err != nil:
		return doctor.Broken(doctor.Warn, err)
	case n < fewFiles:
		return doctor.Bad(doctor.Warn, doctor.Fix{
			Command: fmt.Sprintf("echo '%s hard nofile 1048576' | sudo tee /etc/security/limits.d/banger.conf", f.User),
			Hint:    "Log in again after it, then: banger daemon stop. Each connection of a VM takes a file.",
		}, "a process may open %d files only", n)
	}
	return doctor.Good("a process may open %d files", n)
}

func (f Facts) fileHandles(context.Context) doctor.Finding {
	var used, free, most uint64
	text := f.line("proc/sys/fs/file-nr")
	if _, err := fmt.Sscan(text, &used, &free, &most); err != nil {
		return doctor.Skipped("how many files are open is not understood: %q", text)
	}
	if used-free > most/10*9 {
		value := strconv.FormatUint(most*4, 10)
		return doctor.Bad(doctor.Warn, doctor.Fix{Command: "echo fs.file-max=" + value + " | sudo tee /etc/sysctl.d/60-banger-files.conf && sudo sysctl fs.file-max=" + value},
			"%d of at most %d files are open on this host", used-free, most)
	}
	return doctor.Good("%d files are open on this host", used-free)
}

// beforeUs is a day at which there was no banger.
var beforeUs = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (f Facts) clock(context.Context) doctor.Finding {
	fix := doctor.Fix{Command: "sudo timedatectl set-ntp true", Hint: "Guests take their time from this host; certificates and package signatures need it right."}
	if now := f.Now(); now.Before(beforeUs) {
		return doctor.Bad(doctor.Fail, fix, "it is %s by this host's clock", now.UTC().Format(time.DateOnly))
	}
	synced, err := f.ClockSynced()
	switch {
	case err != nil:
		return doctor.Skipped("whether the clock is kept in time is not known: %v", err)
	case !synced:
		return doctor.Bad(doctor.Warn, fix, "nothing keeps this host's clock in time")
	}
	return doctor.Good("the clock is kept in time")
}

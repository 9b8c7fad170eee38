package agent

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/clock"
)

func (a *Agent) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h := wire.Health{UptimeMS: clock.BootMS()}
	load, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		h.Load, err = parseLoad(string(load))
	}
	if err == nil {
		var mem []byte
		mem, err = os.ReadFile("/proc/meminfo")
		h.MemTotal, h.MemAvail = memory(mem, "MemTotal:"), memory(mem, "MemAvailable:")
	}
	if err == nil {
		var stat []byte
		stat, err = os.ReadFile("/proc/stat")
		h.CPUs, h.BusyMS, h.StolenMS = processors(stat)
	}
	if err == nil {
		h.RootSize, h.RootFree, err = room("/")
	}
	if err == nil && a.cfg.Boot.Home != "" {
		h.WorkSize, h.WorkFree, err = room(a.cfg.Boot.Home)
	}
	if err != nil {
		a.fail(w, http.StatusInternalServerError, api.KindInternal, err)
		return
	}
	h.Execs = a.exec.Running()
	a.reply(w, h)
}

func parseLoad(s string) (load [3]float64, err error) {
	fields := strings.Fields(s)
	if len(fields) < len(load) {
		return load, fmt.Errorf("the kernel's load average %.80q cannot be read", s)
	}
	for i := range load {
		if load[i], err = strconv.ParseFloat(fields[i], 64); err != nil {
			return load, fmt.Errorf("reading the load average: %w", err)
		}
	}
	return load, nil
}

// memory is a field of meminfo in bytes; 0 on a kernel without it.
func memory(meminfo []byte, field string) int64 {
	_, rest, ok := bytes.Cut(meminfo, []byte(field))
	fields := bytes.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// processors reads /proc/stat: how many there are, and what they did since the
// boot; 0 for what is not understood.
func processors(stat []byte) (n int, busyMS, stolenMS float64) {
	const tick = 10 // ms; USER_HZ, fixed on Linux
	for line := range bytes.Lines(stat) {
		fields := bytes.Fields(line)
		if len(fields) == 0 || !bytes.HasPrefix(fields[0], []byte("cpu")) {
			break // they come first
		}
		if len(fields[0]) > len("cpu") {
			n++
			continue
		}
		// user, nice, system, idle, iowait, irq, softirq, steal
		for i, field := range fields[1:] {
			ticks, err := strconv.ParseUint(string(field), 10, 52)
			if err != nil {
				break
			}
			switch i {
			case 0, 1, 2, 5, 6:
				busyMS += float64(ticks) * tick
			case 7:
				stolenMS = float64(ticks) * tick
			}
		}
	}
	return n, busyMS, stolenMS
}

// room is what a file system can hold, and what users may still put there.
func room(dir string) (size, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}

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
		h.RootFree, err = free("/")
	}
	if err == nil && a.cfg.Boot.Home != "" {
		h.WorkFree, err = free(a.cfg.Boot.Home)
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

func free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

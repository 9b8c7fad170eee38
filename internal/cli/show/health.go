package show

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/size"
)

// Health writes how a guest is.
func Health(w io.Writer, h api.VMHealth) error {
	busy := ""
	if h.CPUs > 0 { // an older agent does not tell
		busy = fmt.Sprintf("%s busy on %d CPUs", Seconds(h.BusyMS), h.CPUs)
		if h.CPUs == 1 {
			busy = Seconds(h.BusyMS) + " busy on 1 CPU"
		}
		if h.StolenMS > 0 {
			busy += ", kept waiting by the host for " + Seconds(h.StolenMS)
		}
	}
	return Fields(w,
		"Up", Age(time.Duration(h.UptimeMS)*time.Millisecond),
		"Load", fmt.Sprintf("%.2f %.2f %.2f", h.Load[0], h.Load[1], h.Load[2]),
		"CPU", busy,
		"Memory", size.Format(h.MemAvail)+" of "+size.Format(h.MemTotal)+" available",
		"Root", free(h.RootFree, h.RootSize),
		"Home", free(h.WorkFree, h.WorkSize),
		"Commands", strconv.Itoa(h.Execs),
	)
}

// free says what is free of a size, if that is known.
func free(free, of int64) string {
	switch {
	case free == 0 && of == 0:
		return ""
	case of == 0:
		return size.Format(free) + " free"
	}
	return size.Format(free) + " of " + size.Format(of) + " free"
}

// Seconds writes milliseconds as seconds, with one digit behind the point.
func Seconds(ms float64) string { return fmt.Sprintf("%.1f s", ms/1000) }

package guest

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
)

func TestImpossibleHealth(t *testing.T) {
	whole := wire.Health{
		UptimeMS: 5, Load: [3]float64{1, 2, 3}, MemTotal: 1 << 40, MemAvail: 1, Execs: 3, RootFree: 1, WorkFree: 1,
		RootSize: 2, WorkSize: 2, CPUs: 4, BusyMS: 7, StolenMS: 1,
	}
	for name, change := range map[string]func(*wire.Health){
		"":               func(*wire.Health) {},
		"a negative":     func(h *wire.Health) { h.MemAvail = -1 },
		"too much":       func(h *wire.Health) { h.RootSize = math.MaxInt64 },
		"a time before":  func(h *wire.Health) { h.UptimeMS = -0.1 },
		"an age":         func(h *wire.Health) { h.UptimeMS = 1e14 },
		"an endless one": func(h *wire.Health) { h.BusyMS = 1e300 },
		"a load":         func(h *wire.Health) { h.Load[2] = -1 },
		"commands":       func(h *wire.Health) { h.Execs = -1 },
		"processors":     func(h *wire.Health) { h.CPUs = math.MaxInt32 },
	} {
		h := whole
		change(&h)
		answer, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeHealth(answer)
		if (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
		if name == "" && got != whole {
			t.Errorf("%+v, not %+v", got, whole)
		}
	}
}

func FuzzHealth(f *testing.F) {
	f.Add([]byte(`{"uptime_ms":1.5,"load":[0.1,0.2,0.3],"mem_total":1,"execs":2,"root_free":3,"cpus":1,"busy_ms":1e3}`))
	f.Add([]byte(`{"load":[1,2,3,4],"mem_total":1e99}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		h, err := decodeHealth(answer)
		if err != nil {
			return
		}
		if h.MemTotal < 0 || h.WorkFree < 0 || h.CPUs < 0 || h.CPUs > maxCount || h.BusyMS < 0 || h.BusyMS > maxMS || time.Duration(h.UptimeMS)*time.Millisecond < 0 || h.Load[0] < 0 {
			t.Errorf("it takes %+v", h)
		}
	})
}

package show

import (
	"io"

	"github.com/banger-vm/banger/api"
)

// VMMs writes a table of VMMs, a row for each acceleration.
func VMMs(w io.Writer, vmms []api.VMM) error {
	t := NewTable("NAME", "VERSION", "ACCEL", "WORKS", "DEFAULT", "ISOLATION", "PATH", "DETAIL")
	for _, v := range vmms {
		if v.Error != nil {
			t.Row(v.Name, "", "", "no", "", "", "", v.Error.Message)
		}
		for _, a := range v.Accels {
			works, def, detail := "no", "", a.Reason
			switch {
			case a.Works:
				works = "yes"
			case a.NotTried:
				works = "not tried"
			}
			if a.Default {
				def, detail = "yes", a.Why
			}
			t.Row(v.Name, v.Version, a.Name, works, def, a.Isolation, v.Path, detail)
		}
	}
	return t.Write(w)
}

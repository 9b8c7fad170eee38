package files

import (
	"strings"

	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// place is one side of a copy.
type place struct {
	vm   string // "" is here
	path string
}

// parse reads a place as scp does: a colon before any slash ends the name of a
// VM.
func parse(text string) (place, error) {
	vm, path, remote := strings.Cut(text, ":")
	switch {
	case text == "":
		return place{}, app.Usagef("a path is empty")
	case !remote || strings.Contains(vm, "/"):
		return place{path: text}, nil
	case vm == "":
		return place{}, app.Usagef("%q names no VM; write VM:PATH, or ./%s for a file here", show.Safe(text), show.Safe(text))
	}
	return place{vm, path}, nil
}

// job is what is to be copied.
type job struct {
	vm      string
	put     bool // into the VM
	sources []string
	dest    string
	archive bool // the side here is a tar archive on standard input or output
}

// plan reads all arguments; the last one is the destination.
func plan(args []string) (job, error) {
	var all []place
	for _, text := range args {
		p, err := parse(text)
		if err != nil {
			return job{}, err
		}
		all = append(all, p)
	}
	from, to := all[:len(all)-1], all[len(all)-1]
	j := job{vm: to.vm, put: to.vm != "", dest: to.path}
	for _, p := range from {
		switch {
		case p.vm != "" && to.vm != "":
			return job{}, app.Usagef("from VM to VM nothing is copied at once: copy it here first, or use: banger cp %s:PATH - | banger cp - %s:DIR", show.Safe(p.vm), show.Safe(to.vm))
		case p.vm == "" && to.vm == "":
			return job{}, app.Usagef("one side is a VM's: write it as VM:PATH")
		case p.vm != "" && j.vm != "" && p.vm != j.vm:
			return job{}, app.Usagef("the sources are of two VMs, %s and %s: copy them one after the other", show.Safe(j.vm), show.Safe(p.vm))
		case p.vm != "":
			j.vm = p.vm
		case p.path == "-" && len(from) > 1:
			return job{}, app.Usagef("an archive on standard input is copied alone")
		case p.path == "-":
			j.archive = true
		}
		j.sources = append(j.sources, p.path)
	}
	if !j.put && j.dest == "-" {
		j.archive = true
	}
	return j, nil
}

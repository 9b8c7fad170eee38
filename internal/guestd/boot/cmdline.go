package boot

import (
	"fmt"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/guest/wire"
)

// args are banger's arguments on the kernel's command line.
type args struct {
	root  disk.RootMode
	user  string
	probe bool
}

// parseCmdline reads them; the last of a kind wins, as with the kernel's own.
func parseCmdline(line string) (args, error) {
	var a args
	for field := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case wire.ArgRoot:
			a.root = disk.RootMode(value)
		case wire.ArgUser:
			a.user = value
		case wire.ArgProbe:
			a.probe = true
		}
	}
	switch {
	case a.probe, a.root == disk.RootCOW, a.root == disk.RootRaw:
		return a, nil
	case a.root == "":
		return a, fmt.Errorf("the kernel's command line does not say what the root is (%s=cow or raw)", wire.ArgRoot)
	}
	return a, fmt.Errorf("the kernel's command line asks for an unknown kind of root, %s=%.40q", wire.ArgRoot, a.root)
}

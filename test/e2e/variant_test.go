package e2e

import (
	"encoding/json"
	"os"
	"sync"

	"github.com/banger-vm/banger/api"
	matrix "github.com/banger-vm/banger/test/matrix/result"
)

// variant is what the tests' machines ran on: the facts of the first that asked
// for nothing else.
var variant struct {
	sync.Mutex
	matrix.Variant
}

func saw(v api.VM) {
	variant.Lock()
	defer variant.Unlock()
	if variant.VMM != "" || v.Boot == nil || v.Boot.VMM == "" || v.Spec.DiskDriver == "copy" {
		return
	}
	user := "user"
	if os.Geteuid() == 0 {
		user = "root"
	}
	variant.Variant = matrix.Variant{VMM: v.Boot.VMM + "/" + v.Boot.Accel, Disk: v.Spec.DiskDriver, User: user}
}

// writeVariant writes it down for test/report, where that is wanted.
func writeVariant(path string) error {
	variant.Lock()
	defer variant.Unlock()
	if path == "" || variant.VMM == "" {
		return nil
	}
	data, err := json.Marshal(variant.Variant)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

package kerneltest

import (
	"context"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/hostexec"
)

// Host stands in for depmod and mke2fs, which write what they are told to make;
// dep is what depmod finds out.
func Host(dep string) *hostexec.Recorder {
	return &hostexec.Recorder{Reply: func(_ context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
		switch cmd.Name {
		case "mke2fs":
			return hostexec.Result{}, os.WriteFile(cmd.Args[len(cmd.Args)-2], []byte("ext4"), 0o644)
		case "depmod": // -b BASE RELEASE
			path := filepath.Join(cmd.Args[1], "lib", "modules", cmd.Args[2], "modules.dep")
			return hostexec.Result{}, os.WriteFile(path, []byte(dep), 0o644)
		}
		return hostexec.Result{}, nil
	}}
}

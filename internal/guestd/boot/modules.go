package boot

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// moduleInitCompressed is MODULE_INIT_COMPRESSED_FILE of <linux/module.h>.
const moduleInitCompressed = 4

// loadModules inserts the initramfs's modules in the order of its list.
func loadModules() error {
	list, err := os.ReadFile("/modules.list")
	if err != nil {
		return fmt.Errorf("reading the list of kernel modules: %w", err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		if err := insert("/modules/" + name); err != nil {
			return fmt.Errorf("inserting the kernel module %s: %w", name, err)
		}
	}
	return nil
}

func insert(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(path, ".ko") {
		flags = moduleInitCompressed
	}
	err = unix.FinitModule(int(f.Fd()), "", flags)
	if errors.Is(err, unix.EEXIST) {
		return nil // built in, or inserted already
	}
	return err
}

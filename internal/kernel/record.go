package kernel

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// record is kernel.json: written last, so a directory that has it is whole.
type record struct {
	ID      string           `json:"id"`
	Digest  string           `json:"digest,omitempty"` // of what it was made from
	Release string           `json:"release"`
	Source  string           `json:"source"`
	Modules []string         `json:"modules"` // of the initramfs, in their order
	Lacks   []string         `json:"lacks,omitempty"`
	Sizes   map[string]int64 `json:"sizes"` // of the files
}

const (
	recordFile  = "kernel.json"
	vmlinuxFile = "vmlinux"
	diskFile    = "modules.ext4"
	modulesDir  = "modules"
	idLength    = 16
)

func validID(id string) bool {
	_, err := hex.DecodeString(id)
	return len(id) == idLength && err == nil
}

// load reads the kernel in dir; fs.ErrNotExist if there is none.
func load(dir string) (Kernel, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return Kernel{}, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return Kernel{}, fmt.Errorf("the kernel in %s cannot be used: its %s is damaged: %w", dir, recordFile, err)
	}
	var total int64
	for name, size := range r.Sizes {
		total += size
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() != size {
			return Kernel{}, fmt.Errorf("the kernel in %s cannot be used: its file %s is missing or damaged", dir, name)
		}
	}
	return Kernel{
		ID: r.ID, Release: r.Release, Source: r.Source, Modules: r.Modules, Lacks: r.Lacks, SizeBytes: total,
		Vmlinux:     filepath.Join(dir, vmlinuxFile),
		ModulesDisk: filepath.Join(dir, diskFile),
	}, nil
}

// save writes r into dir, after all files that it names.
func save(dir string, r record) error {
	r.Sizes = map[string]int64{}
	names := []string{vmlinuxFile, diskFile}
	for _, m := range r.Modules {
		names = append(names, filepath.Join(modulesDir, m))
	}
	for _, name := range names {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		r.Sizes[name] = st.Size()
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, recordFile), append(b, '\n'))
}

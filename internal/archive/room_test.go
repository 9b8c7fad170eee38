package archive

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk is not filled, nor its table of files.
func TestRoom(t *testing.T) {
	const kb, gb = 1 << 10, 1 << 20 // in blocks of 1 KiB
	for name, c := range map[string]struct {
		size, free   uint64
		files, ffree uint64
		says         string
	}{
		"half":                         {size: 100 * gb, free: 50 * gb, files: 1000, ffree: 500},
		"a large one, 2 GB free":       {size: 1000 * gb, free: 2 * gb},
		"a large one, 1 GB free":       {size: 1000 * gb, free: gb, says: "nearly full"},
		"a small one, a tenth free":    {size: gb, free: 100 * kb},
		"a small one, a twentieth":     {size: gb, free: 52 * kb, says: "nearly full"},
		"full":                         {size: gb, says: "nearly full"},
		"no files left":                {size: 100 * gb, free: 50 * gb, files: 1000, ffree: 10, says: "any more files"},
		"a few of very many files":     {size: 100 * gb, free: 50 * gb, files: 1e9, ffree: 20_000},
		"hardly any of very many":      {size: 100 * gb, free: 50 * gb, files: 1e9, ffree: 5000, says: "any more files"},
		"one that counts none at all":  {size: 100 * gb, free: 50 * gb},
		"a tiny one, less than a look": {size: 20 * kb, free: 20 * kb, says: "nearly full"},
	} {
		r := room{name: "disk"}
		err := r.judge(unix.Statfs_t{Bsize: 1024, Blocks: c.size, Bavail: c.free, Bfree: c.free, Files: c.files, Ffree: c.ffree})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

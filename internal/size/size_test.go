package size

import (
	"strings"
	"testing"
)

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1": 1, "1K": 1 << 10, "512M": 512 << 20, "2g": 2 << 30, "1.5G": 3 << 29, "4GiB": 4 << 30, "4GB": 4 << 30, "10T": 10 << 40, "7B": 7,
	} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "M", "-1M", "1X", "1e3", "0x10", "1 G B", "1.2.3G", "4i", "inf", "nan", "99999999P", "5\x1b"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %d without an error", in, got)
		} else if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("the error %q has control characters", err)
		}
	}
	for in, want := range map[int64]string{0: "0", 1023: "1023", 1024: "1K", 512 << 20: "512M", 3 << 29: "1.5G", 32 << 30: "32G"} {
		if got := Format(in); got != want {
			t.Errorf("Format(%d) = %q, want %q", in, got, want)
		}
	}
}

// What was written for people is read back as nearly what it was.
func FuzzFormat(f *testing.F) {
	for _, n := range []int64{0, 1023, 1024, 1536 << 20, 1<<62 - 1} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		n &= 1<<61 - 1
		got, err := Parse(Format(n))
		if err != nil || max(got-n, n-got) > n/20 {
			t.Errorf("%d is written %q and read %d, %v", n, Format(n), got, err)
		}
	})
}

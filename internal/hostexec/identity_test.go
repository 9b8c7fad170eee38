package hostexec

import "testing"

func TestParseStartTime(t *testing.T) {
	got, err := parseStartTime([]byte("8 (a) b) R) R 8275 8275 4049 0 -1 4194304 104 0 1 0 0 0 0 0 20 0 1 0 209972 29 4"))
	if err != nil || got != 209972 {
		t.Errorf("parseStartTime = %d, %v", got, err)
	}
	for _, bad := range []string{"", "8 (x) R 1 2", "8 x R"} {
		if _, err := parseStartTime([]byte(bad)); err == nil {
			t.Errorf("parseStartTime(%q) succeeds", bad)
		}
	}
}

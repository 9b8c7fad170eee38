package calm_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/calm"
)

// A program that is started has the slack, and this thread its own again.
func TestStart(t *testing.T) {
	before, err := calm.Own()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []calm.Slack{calm.Late, calm.Usual} {
		var out strings.Builder
		cmd := exec.Command("cat", "/proc/self/timerslack_ns")
		cmd.Stdout = &out
		if err := calm.Start(s, cmd.Start); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) != fmt.Sprint(int64(s)) {
			t.Errorf("the program's slack is %q instead of %d, %v", out.String(), s, err)
		}
	}
	if after, err := calm.Own(); err != nil || after != before {
		t.Errorf("this thread's slack was %d, and is %d (%v)", before, after, err)
	}
}

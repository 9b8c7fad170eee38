package usersession

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// lookAgain is how often a process is looked at that may have a session by now.
const lookAgain = 50 * time.Millisecond

// Await waits until a process that systemd has just forked has its session: it
// executes its program when PAM has done its part. Until then its name is in
// parentheses. (Type=exec would tell, but systemd 252 never learns of it where
// there is PAM.)
func Await(pid int, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(lookAgain) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			return fmt.Errorf("looking at the process of a session: %w", err)
		}
		if !strings.HasPrefix(string(name), "(") {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("PAM has not opened the session within %v", limit)
		}
	}
}

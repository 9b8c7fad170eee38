package power

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const roleEnv = "POWER_TEST_ROLE"

// TestMain is also the two programs of TestHeldAsks.
func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "before":
		fmt.Println(becomeInit())
	case "init":
		time.Sleep(50 * time.Millisecond) // nobody takes signals yet
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, asks...)
		fmt.Print(<-signals)
	default:
		os.Exit(m.Run())
	}
}

func becomeInit() error {
	runtime.LockOSThread()
	if err := HoldAsks(); err != nil {
		return err
	}
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGTERM); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, []string{roleEnv + "=init"})
}

// A signal that comes before the next program takes signals waits for it.
func TestHeldAsks(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{roleEnv + "=before"}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "terminated" {
		t.Errorf("%q, %v", out, err)
	}
}

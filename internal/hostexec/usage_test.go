package hostexec

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// What this process takes grows by what it takes.
func TestUsage(t *testing.T) {
	cpu, before, err := Usage(os.Getpid())
	for end := time.Now().Add(10 * time.Second); err == nil && cpu == 0 && time.Now().Before(end); {
		cpu, before, err = Usage(os.Getpid()) // which takes time, too
	}
	if err != nil || cpu <= 0 || before <= 0 {
		t.Fatal(cpu, before, err)
	}
	const more = 64 << 20
	held := make([]byte, more)
	for i := range held {
		held[i] = 1
	}
	_, after, err := Usage(os.Getpid())
	if err != nil || after < before+more/2 {
		t.Errorf("%d, and then %d, %v", before, after, err)
	}
	pss, err := Proportional(os.Getpid())
	if err != nil || pss < more || pss > after+more {
		t.Errorf("its part is %d of %d, %v", pss, after, err)
	}
	runtime.KeepAlive(held)
	if _, _, err := Usage(-1); err == nil {
		t.Error("there is no such process")
	}
	if _, err := Proportional(-1); err == nil {
		t.Error("there is no such process")
	}
}

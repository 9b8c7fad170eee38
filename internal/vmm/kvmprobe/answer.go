package kvmprobe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// awaitAnswer waits for the guest's answer on its console, slowness times as
// long as elsewhere.
func awaitAnswer(ctx context.Context, console io.Reader, slowness time.Duration) string {
	found := make(chan bool, 1)
	first := make(chan struct{}, 1)
	go func() { found <- scanAnswer(console, first) }()
	quiet := time.After(silence * slowness)
	for {
		select {
		case ok := <-found:
			if ok {
				return ""
			}
			return "KVM opens, but a tiny guest ended without an answer"
		case <-first:
			quiet = nil
		case <-quiet:
			return fmt.Sprintf("KVM opens, but a tiny guest printed nothing within %v", silence*slowness)
		case <-ctx.Done():
			return fmt.Sprintf("KVM opens, but a tiny guest did not answer within %v", Limit*slowness)
		}
	}
}

// scanAnswer reads until the answer, the end or the bound. Closing the machine
// ends it.
func scanAnswer(console io.Reader, first chan<- struct{}) bool {
	var seen []byte
	buf := make([]byte, 4096)
	for len(seen) < maxOutput {
		n, err := console.Read(buf)
		if n > 0 && seen == nil {
			first <- struct{}{}
		}
		seen = append(seen, buf[:n]...)
		if bytes.Contains(seen, []byte(wire.ProbeAnswer)) {
			return true
		}
		if err != nil {
			return false
		}
	}
	return false
}

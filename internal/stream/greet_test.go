package stream

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A brief command's answer, output and exit are one write; whoever waits for
// the answer, or for long, gets it before.
func TestGreeting(t *testing.T) {
	const greeting = "ok\n"
	for name, tc := range map[string]struct {
		brief  bool
		output string
		after  time.Duration // the exit
		want   time.Duration // the first write
		whole  bool          // is all there is
	}{
		"short":          {brief: true, output: "x", after: 30 * time.Millisecond, want: 30 * time.Millisecond, whole: true},
		"silent":         {brief: true, after: 30 * time.Millisecond, want: 30 * time.Millisecond, whole: true},
		"long":           {brief: true, after: time.Hour, want: lingerGreeting},
		"with an input":  {after: 30 * time.Millisecond},
		"early in words": {brief: true, output: "early", after: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := NewAgent(Hooks{})
				e.Greet([]byte(greeting), tc.brief)
				here, there := net.Pipe()
				served := make(chan struct{})
				go func() {
					defer close(served)
					_ = e.Serve(there) // the pipe breaks at the end of the test
				}()
				if tc.output == "early" {
					_, _ = e.Sender(Stdout).Write([]byte(tc.output)) // fits the window
				}
				time.AfterFunc(tc.after, func() {
					if tc.output != "early" {
						_, _ = e.Sender(Stdout).Write([]byte(tc.output))
					}
					e.Sender(Stdout).Close()
					e.Sender(Stderr).Close()
					e.SetExit([]byte("{}"))
				})
				begin := time.Now()
				buf := make([]byte, 1<<10)
				n, err := here.Read(buf) // of a net.Pipe: one write
				if err != nil || string(buf[:min(n, len(greeting))]) != greeting {
					t.Fatalf("the first write is %q, %v", buf[:n], err)
				}
				if took := time.Since(begin); took != tc.want {
					t.Errorf("it came after %v, not %v", took, tc.want)
				}
				if tc.output == "early" && n <= len(greeting) {
					t.Errorf("the output did not come along: %q", buf[:n])
				}
				if last := AppendFrame(nil, Frame{Type: Exit, Stream: Result, Payload: []byte("{}")}); tc.whole && string(buf[max(0, n-len(last)):n]) != string(last) {
					t.Errorf("the first write does not end with the exit: %q", buf[:n])
				}
				here.Close()
				<-served
			})
		})
	}
}

package qemu

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/network"
)

// Frames come as they were sent, however the stream is cut.
func TestLink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours, theirs := net.Pipe()
		sent := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), minFrame, 3000), 1, 20).Draw(t, "frames")
		go func() {
			_ = newLink(theirs).WriteFrames(sent) // the reader sees what is missing
			theirs.Close()
		}()
		l, buf := newLink(ours), make([]byte, network.MaxFrame)
		for i, want := range sent {
			if n, err := l.ReadFrame(buf); err != nil || !bytes.Equal(buf[:n], want) {
				t.Fatalf("frame %d: %d of %d bytes, %v", i, n, len(want), err)
			}
		}
		if _, err := l.ReadFrame(buf); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

// A length that no frame has ends the link: it is in the middle of one.
func TestLinkOutOfStep(t *testing.T) {
	for _, head := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x0d", "\x00\x02\x00\x00", "\xff\xff\xff\xff"} {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.WriteString(theirs, head) }()
		if _, err := newLink(ours).ReadFrame(make([]byte, network.MaxFrame)); err == nil || !strings.Contains(err.Error(), "a frame of") {
			t.Errorf("%x: %v", head, err)
		}
		ours.Close()
		theirs.Close()
	}
}

func TestFramesNeedANewQEMU(t *testing.T) {
	for version, want := range map[string]bool{"7.2.22": true, "7.2": true, "8.0.1": true, "10.1.0": true, "7.1.9": false, "6.2.0": false, "": false, "x": false} {
		if got := atLeast(version, 7, 2); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

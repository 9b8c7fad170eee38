package client_test

import (
	"archive/tar"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/stream"
)

// guest is one that sends what it likes.
func guest(send func(out, errs io.Writer), exit string) *client.Files {
	return client.NewFiles(monitor(func(_ int, conn net.Conn) {
		req, r, err := request(conn)
		if err != nil {
			return
		}
		answer(conn, api.ExecAttached{ID: req.ID, Window: stream.Window})
		agent := stream.NewAgent(stream.Hooks{Signal: func(int) {}, Resize: func(uint16, uint16) {}})
		go func() {
			out, errs := agent.Sender(stream.Stdout), agent.Sender(stream.Stderr)
			send(out, errs)
			out.Close()
			errs.Close()
			agent.SetExit([]byte(exit))
		}()
		_ = agent.Serve(pipe{r, conn}) // until the client has left
	}))
}

func sendFile(w io.Writer, name string) {
	t := tar.NewWriter(w)
	_ = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 4}) // who reads tells
	_, _ = io.WriteString(t, "text")
	_ = t.Close()
}

func TestHostileGuest(t *testing.T) {
	for name, c := range map[string]struct {
		send    func(out, errs io.Writer)
		exit    string
		says    string
		skipped int64
	}{
		"fine":                     {func(out, _ io.Writer) { sendFile(out, "wanted") }, `{}`, "", 0},
		"another file":             {func(out, _ io.Writer) { sendFile(out, ".bashrc") }, `{}`, "nobody asked for", 0},
		"no archive":               {func(out, _ io.Writer) { _, _ = io.WriteString(out, strings.Repeat("x", 2000)) }, `{}`, "no tar archive", 0},
		"nothing":                  {func(_, _ io.Writer) {}, `{}`, "is empty", 0},
		"a cut archive":            {func(out, _ io.Writer) { sendFile(&cutWriter{out, 514}, "wanted") }, `{}`, "ends in its middle", 0},
		"an error, and an archive": {func(out, _ io.Writer) { sendFile(out, "wanted") }, `{"error":{"kind":"internal","message":"disk\u001b[31m broke"}}`, "disk?[31m broke", 0},
		"an odd kind":              {func(out, _ io.Writer) { sendFile(out, "wanted") }, `{"error":{"kind":"unavailable","message":"x"}}`, "x", 0},
		"an exit that is none":     {func(out, _ io.Writer) { sendFile(out, "wanted") }, `[1`, "in a wrong way", 0},
		"a word on what is left out": {func(out, errs io.Writer) {
			sendFile(out, "wanted")
			fmt.Fprintln(errs, `{"name":"s","reason":"it is a socket"}`)
			fmt.Fprintln(errs, `nonsense`)
		}, `{}`, "", 2},
		"a flood of that": {func(out, errs io.Writer) {
			sendFile(out, "wanted")
			for range 20_000 {
				fmt.Fprintln(errs, `{"name":"s"}`)
			}
		}, `{}`, "", 20_000},
		"a word without an end": {func(out, errs io.Writer) {
			sendFile(out, "wanted")
			_, _ = errs.Write(make([]byte, 1<<20))
		}, `{}`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			at := t.TempDir()
			told := 0
			cfg := client.CopyConfig{Skipped: func(api.FilesSkipped) { told++ }}
			stats, err := guest(c.send, c.exit).Get(t.Context(), []string{"dir/wanted"}, at, cfg)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v", err)
			}
			if api.KindOf(err) == api.KindUnavailable {
				t.Errorf("its kind is the guest's: %v", err)
			}
			if stats.Skipped != c.skipped || told > 10_000 {
				t.Errorf("%+v, %d told", stats, told)
			}
			all, err := os.ReadDir(at)
			if err != nil || len(all) > 1 || len(all) == 1 && all[0].Name() != "wanted" {
				t.Errorf("%v, %v", all, err)
			}
			if got, err := os.ReadFile(filepath.Join(at, "wanted")); err == nil && string(got) != "text" {
				t.Errorf("a part of it is there: %q", got)
			}
		})
	}
}

// cutWriter takes some bytes and drops the rest.
type cutWriter struct {
	io.Writer
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	if _, err := c.Writer.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

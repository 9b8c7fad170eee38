package daemons

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/launch"
)

func newLogs(a *app.App) *cobra.Command {
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Print the daemon's log",
		Args:  app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, spare, err := daemonLogs(cmd.Context(), a)
			if err != nil {
				return err
			}
			f, err := os.Open(path)
			if errors.Is(err, fs.ErrNotExist) {
				return api.NewError(api.KindNotFound, "there is no log "+path, "No daemon has run here yet, or its log is set to go elsewhere.")
			}
			if err != nil {
				return fmt.Errorf("opening the log: %w", err)
			}
			defer f.Close()
			out := io.Writer(a.Out)
			if asJSON {
				out = &jsonLines{out: a.Out}
			}
			if _, err := io.Copy(out, f); err != nil {
				return err
			}
			if path != spare {
				err = lastWords(out, spare)
			}
			if err != nil || !follow {
				return err
			}
			return followLog(cmd.Context(), out, f, path)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as it grows")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, one object a line")
	return cmd
}

// daemonLogs says where the daemon's log is, and where what it says outside of it.
func daemonLogs(ctx context.Context, a *app.App) (path, spare string, err error) {
	p, err := a.Places()
	if err != nil {
		return "", "", err
	}
	// A daemon that runs knows best where its log is.
	if c, err := a.Existing(); err == nil {
		if s, err := status(ctx, c, time.Second); err == nil && s.LogFile != "" {
			p.LogFile = s.LogFile
		}
	}
	spare = launch.StderrFile(p)
	if p.LogFile == "-" { // which is where its starter put it
		return spare, spare, nil
	}
	return p.LogFile, spare, nil
}

// lastWords prints what the daemon said outside its log: a panic, mostly.
func lastWords(out io.Writer, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}

// followLog prints what is added to the log, which may be moved away and begun
// anew when it is full.
func followLog(ctx context.Context, out io.Writer, f *os.File, path string) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if _, err := io.Copy(out, f); err != nil {
			return err
		}
		here, err := f.Stat()
		if err != nil {
			return err
		}
		now, err := os.Stat(path)
		if err != nil || os.SameFile(here, now) {
			continue // between the move and the new beginning
		}
		if _, err := io.Copy(out, f); err != nil { // what came before the move
			return err
		}
		next, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("opening the log: %w", err)
		}
		defer next.Close()
		f = next
	}
}

// jsonLines writes each whole line as an object.
type jsonLines struct {
	out  io.Writer
	rest []byte // of a line whose end has not come
}

func (j *jsonLines) Write(p []byte) (int, error) {
	j.rest = append(j.rest, p...)
	enc := json.NewEncoder(j.out)
	enc.SetEscapeHTML(false)
	for {
		line, after, whole := bytes.Cut(j.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if err := enc.Encode(map[string]string{"line": string(line)}); err != nil {
			return 0, err
		}
		j.rest = after
	}
}

package vitals

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// The usual times between two samples: of one that is shown, and of many.
const (
	onceApart = time.Second
	manyApart = 2 * time.Second
)

// NewStats makes the command stats.
func NewStats(a *app.App) *cobra.Command {
	s := sampler{App: a}
	cmd := &cobra.Command{
		Use:   "stats [flags] [VM…]",
		Short: "Show what VMs take and do; -f goes on",
		Long: `Show what VMs take of this host and what they do: those that are named, or all
that run. Shares of processors are those since the sample before, so it takes a
moment. MEMORY is that of the VMM, and MONITOR that of the VM's monitor, of what
they share with others their part; GUEST is what the guest's kernel uses of its
memory. DISK is what the VM's own disks take of what they could, SHARED
what the image takes that other VMs stand on too. Nothing is run in the guest,
and a VM that hangs is shown with the reason.`,
		Args: app.Takes(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.names = args
			return s.run(cmd)
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	f := cmd.Flags()
	f.BoolVarP(&s.follow, "follow", "f", false, "go on: a terminal is drawn anew, elsewhere a table follows the other")
	f.IntVarP(&s.count, "count", "c", 0, "end after this many samples")
	f.VarP(&s.interval, "interval", "i", "how long to wait in between (default 2s with -f, else 1s)")
	f.VarP(&s.timeout, "timeout", "t", "how long each VM may take to answer (default 2s)")
	f.BoolVar(&s.disks, "disks", false, "a line for each disk instead")
	f.BoolVar(&s.json, "json", false, "as JSON, one object for each sample, a line each")
	s.labels.Register(a, cmd)
	return cmd
}

type sampler struct {
	*app.App
	names             []string
	labels            app.Labels
	follow, disks     bool
	json              bool
	count             int
	interval, timeout app.Seconds
	last              map[string]api.VMStats // by the VM's ID
}

// sample is what is printed as JSON.
type sample struct {
	At  time.Time  `json:"at"`
	VMs []show.Row `json:"vms"`
}

func (s *sampler) run(cmd *cobra.Command) error {
	if err := s.labels.Check(); err != nil {
		return err
	}
	apart := time.Duration(s.interval)
	switch {
	case s.count < 0 || s.count > 0 && !s.follow:
		return app.Usagef("--count N is for --follow, and at least 1")
	case len(s.names) > 0 && len(s.labels.Want) > 0:
		return app.Usagef("choose VMs by their names or by their labels")
	case apart == 0 && s.follow:
		apart = manyApart
	case apart == 0:
		apart = onceApart
	}
	ctx := cmd.Context()
	if _, err := s.take(ctx); err != nil { // what the first one is compared with
		return err
	}
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(apart):
		}
		rows, err := s.take(ctx)
		if err == nil {
			err = s.show(n, rows)
		}
		if err != nil || !s.follow || n == s.count {
			return err
		}
	}
}

// take takes a sample, with the shares of processors since the last one.
func (s *sampler) take(ctx context.Context) ([]show.Row, error) {
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	all, err := s.ask(ctx, c)
	if err != nil {
		return nil, err
	}
	rows, last := make([]show.Row, len(all)), make(map[string]api.VMStats, len(all))
	for i, now := range all {
		rows[i] = show.Row{VMStats: now}
		if before, ok := s.last[now.ID]; ok {
			rows[i].Share, rows[i].GuestShare = show.Shares(before, now)
		}
		last[now.ID] = now
	}
	s.last = last
	return rows, nil
}

// ask asks for the VMs that are chosen.
func (s *sampler) ask(ctx context.Context, c *client.Client) (all []api.VMStats, err error) {
	timeout := time.Duration(s.timeout)
	if len(s.labels.Want) == 0 {
		return c.VMStats(ctx, api.VMStatsRequest{VMs: s.names, TimeoutMS: timeout.Milliseconds()})
	}
	_, all, err = c.StatsOf(ctx, client.StatsOfRequest{List: api.VMListRequest{Labels: s.labels.Want}, Timeout: timeout})
	return all, err
}

// show prints the nth sample.
func (s *sampler) show(n int, rows []show.Row) error {
	if s.json {
		enc := json.NewEncoder(s.Out)
		enc.SetEscapeHTML(false)
		return enc.Encode(sample{At: s.Now().UTC(), VMs: rows})
	}
	write := show.Stats
	if s.disks {
		write = show.Disks
	}
	var table bytes.Buffer
	if err := write(&table, rows); err != nil {
		return err
	}
	_, err := io.WriteString(s.Out, s.frame(n, table.Bytes()))
	return err
}

// frame is a table as it follows others: on a terminal it takes their place.
func (s *sampler) frame(n int, table []byte) string {
	if s.follow && term.IsTerminal(int(s.Out.Fd())) && os.Getenv("TERM") != "dumb" {
		return redraw(table)
	}
	if n > 1 {
		return "\n" + string(table)
	}
	return string(table)
}

// redraw is text in the place of all that a terminal shows: without a moment in
// which it shows nothing.
func redraw(text []byte) string {
	const home, endOfLine, below = "\x1b[H", "\x1b[K\n", "\x1b[J"
	return home + string(bytes.ReplaceAll(text, []byte("\n"), []byte(endOfLine))) + below
}

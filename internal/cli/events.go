package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newEvents(a *app.App) *cobra.Command {
	var follow, asJSON bool
	var since int64
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened, or with -f what happens",
		Args:  app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since < 0 {
				return app.Usagef("--since: event numbers begin at 1")
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			e := eventPrinter{App: a, json: asJSON}
			if !follow {
				return e.past(cmd, c, since)
			}
			if !cmd.Flags().Changed("since") {
				since = -1
			}
			return c.Events(cmd.Context(), since, "", e.gap, e.print)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as they happen; from now on unless --since is given")
	cmd.Flags().Int64Var(&since, "since", 0, "only the events after this number")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, one object a line")
	return cmd
}

type eventPrinter struct {
	*app.App
	json bool
}

// past prints the events up to the newest that there is now. That one's number
// need not be an event's: numbers are lost in a crash, and progress is not kept.
func (e eventPrinter) past(cmd *cobra.Command, c *client.Client, since int64) error {
	newest, err := c.EventWatch(cmd.Context(), api.EventWatchRequest{Since: -1})
	if err != nil {
		return err
	}
	for first := true; since < int64(newest.Last); first = false {
		batch, err := c.EventWatch(cmd.Context(), api.EventWatchRequest{Since: since, WaitMS: 1})
		if err != nil {
			return err
		}
		if batch.Gap && first {
			e.gap()
		}
		if len(batch.Events) == 0 {
			return nil
		}
		for _, ev := range batch.Events {
			if ev.Seq > newest.Last {
				return nil
			}
			if err := e.print(ev); err != nil {
				return err
			}
			since = int64(ev.Seq)
		}
	}
	return nil
}

func (e eventPrinter) gap() {
	e.Say("banger: some events are missing: the oldest are not kept, and the last before a crash may be lost")
}

func (e eventPrinter) print(ev api.Event) error {
	if e.json {
		enc := json.NewEncoder(e.Out)
		enc.SetEscapeHTML(false)
		return enc.Encode(ev)
	}
	text := ev.Message
	if op := ev.Operation; op != nil && text == "" {
		text = string(op.State) + " " + show.Amount(op.Progress)
		if op.Error != nil {
			text = string(op.State) + ": " + op.Error.Message
		}
	}
	_, err := io.WriteString(e.Out, show.Safe(fmt.Sprintf("%d %s %s %s %s", ev.Seq,
		ev.Time.Local().Format("2006-01-02 15:04:05.000"), ev.Type, or(ev.Name, ev.Target), text))+"\n")
	return err
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

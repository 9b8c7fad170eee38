// Package vitals is the commands that say how running VMs are.
package vitals

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// NewPing makes the command ping.
func NewPing(a *app.App) *cobra.Command {
	p := pinger{App: a, interval: app.Seconds(time.Second)}
	cmd := &cobra.Command{
		Use:   "ping VM",
		Short: "Ask whether a VM's guest is there, and how soon it answers",
		Long: `Ask the agent in a VM's guest for a sign of life, through the VM's monitor: no
network is needed. It tells how long that took as seen from here, and what of
it the guest took. The exit code is 0 where every question was answered, and 1
where one was not in time.`,
		Args:              app.Takes(1, 1, "the VM's name"),
		RunE:              func(cmd *cobra.Command, args []string) error { return p.run(cmd, args[0]) },
		ValidArgsFunction: completeOne(a),
	}
	cmd.Flags().IntVarP(&p.count, "count", "c", 1, "how often to ask")
	cmd.Flags().VarP(&p.interval, "interval", "i", "how long to wait in between: 200ms, 2s")
	cmd.Flags().VarP(&p.timeout, "timeout", "t", "how long the guest may take to answer (default 5s)")
	cmd.Flags().BoolVar(&p.json, "json", false, "as JSON, one object a line")
	return cmd
}

type pinger struct {
	*app.App
	count             int
	interval, timeout app.Seconds
	json              bool
}

// pong is the answer to one question.
type pong struct {
	VM      string  `json:"vm"`
	Seq     int     `json:"seq"` // from 1 on
	MS      float64 `json:"ms,omitempty"`
	AgentMS float64 `json:"agent_ms,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func (p *pinger) run(cmd *cobra.Command, ref string) error {
	if p.count < 1 {
		return app.Usagef("--count: ask at least once")
	}
	c, err := p.Client()
	if err != nil {
		return err
	}
	vm, err := c.VMInspect(cmd.Context(), ref) // what is wrong from here on is the VM
	if err != nil {
		return err
	}
	var took []float64
	for seq := 1; seq <= p.count; seq++ {
		if seq > 1 {
			select {
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			case <-time.After(time.Duration(p.interval)):
			}
		}
		answer, err := p.ask(cmd, c, vm, seq)
		if err != nil {
			return err
		}
		if answer.Error == "" {
			took = append(took, answer.MS)
		}
	}
	if p.count > 1 && !p.json {
		if err := p.Line(summary(p.count, took)); err != nil {
			return err
		}
	}
	if len(took) < p.count {
		return app.CodeError(1)
	}
	return nil
}

// ask asks once and tells the answer; that there was none in time is no error.
func (p *pinger) ask(cmd *cobra.Command, c *client.Client, vm api.VM, seq int) (pong, error) {
	begin := time.Now()
	got, err := c.VMPing(cmd.Context(), api.VMAskRequest{VM: vm.ID, TimeoutMS: time.Duration(p.timeout).Milliseconds()})
	answer := pong{VM: vm.Name, Seq: seq}
	switch api.KindOf(err) {
	case "":
		answer.MS, answer.AgentMS = float64(time.Since(begin))/float64(time.Millisecond), got.AgentMS
	case api.KindDeadlineExceeded, api.KindUnavailable:
		answer.Error = err.Error()
	default:
		return answer, err
	}
	switch {
	case p.json:
		enc := json.NewEncoder(p.Out)
		enc.SetEscapeHTML(false)
		return answer, enc.Encode(answer)
	case err != nil:
		p.Tell(err, "")
		return answer, nil
	}
	return answer, p.Line(fmt.Sprintf("%s: %s (guest %s)", vm.Name, show.Millis(answer.MS), show.Millis(answer.AgentMS)))
}

// summary says how many questions were answered, and how soon.
func summary(asked int, took []float64) string {
	text := fmt.Sprintf("%d of %d answered", len(took), asked)
	if len(took) == 0 {
		return text
	}
	slices.Sort(took)
	return text + fmt.Sprintf(" in %s to %s, half of them in %s",
		show.Millis(took[0]), show.Millis(took[len(took)-1]), show.Millis(took[(len(took)-1)/2]))
}

// completeOne completes the first argument as a VM's name.
func completeOne(a *app.App) cobra.CompletionFunc {
	vms := app.CompleteVMs(a)
	return func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return vms(cmd, args, text)
	}
}

package app

import (
	"encoding/json"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

// Made prints the name or the ID of what an operation has made.
func (a *App) Made(op api.Operation, quiet bool) error {
	id, err := ResultID(op)
	if err != nil {
		return err
	}
	if quiet || op.Name == "" {
		return a.Line(id)
	}
	return a.Line(op.Name)
}

// ResultID is the ID of what an operation has made.
func ResultID(op api.Operation) (string, error) {
	var result struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(op.Result, &result); err != nil || result.ID == "" {
		return "", api.NewError(api.KindInternal, "the daemon's answer does not say what was made", "")
	}
	return result.ID, nil
}

// TellWeaker tells what is weaker about a VM that an operation has made.
func (a *App) TellWeaker(op api.Operation) {
	var result struct {
		Weaker []string `json:"weaker"`
	}
	if err := json.Unmarshal(op.Result, &result); err != nil {
		return // whoever needs the result tells
	}
	for _, weaker := range result.Weaker {
		a.Say("banger: %s", show.Safe(weaker))
	}
}

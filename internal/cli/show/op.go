package show

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/banger-vm/banger/api"
)

// Ops writes a table of operations.
func Ops(w io.Writer, now time.Time, ops []api.Operation) error {
	t := NewTable("ID", "KIND", "NAME", "STATE", "STARTED", "TOOK", "DETAIL")
	for _, op := range ops {
		end := op.EndedAt
		if end.IsZero() {
			end = now
		}
		t.Row(Short(op.ID), op.Kind, op.Name, string(op.State), Age(now.Sub(op.StartedAt))+" ago",
			Millis(float64(end.Sub(op.StartedAt).Milliseconds())), detail(op))
	}
	return t.Write(w)
}

// detail says what an operation does, or why it failed, and to what.
func detail(op api.Operation) string {
	text := ""
	switch {
	case op.Error != nil:
		text = clip(op.Error.Message, 60)
	case !op.State.Final():
		text = Amount(op.Progress)
	}
	what := target(op)
	switch {
	case text == "":
		return what
	case what == "" || names(text, op.Name):
		return text
	}
	return what + ": " + text
}

// names reports whether text holds name as a word.
func names(text, name string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool {
		return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), name)
}

// target names what an operation is about as people do.
func target(op api.Operation) string {
	kind, _, _ := strings.Cut(op.Target, "/")
	switch {
	case op.Name == "":
		return ""
	case kind == "vm":
		kind = "VM"
	}
	return kind + " " + op.Name
}

// Op writes an operation in full.
func Op(w io.Writer, op api.Operation) error {
	fields := []string{
		"ID", op.ID, "Kind", op.Kind, "Target", strings.TrimSpace(op.Name + " (" + op.Target + ")"), "State", string(op.State),
		"Progress", Amount(op.Progress), "Started", op.StartedAt.Local().Format("2006-01-02 15:04:05"),
	}
	if !op.EndedAt.IsZero() {
		fields = append(fields, "Took", Millis(float64(op.EndedAt.Sub(op.StartedAt).Milliseconds())))
	}
	if op.Resumed > 0 {
		fields = append(fields, "Resumed", fmt.Sprintf("%d times by a new daemon", op.Resumed))
	}
	if op.Error != nil {
		fields = append(fields, "Error", op.Error.Message, "Hint", op.Error.Hint)
	}
	if err := Fields(w, fields...); err != nil || len(op.Steps) == 0 {
		return err
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	t := NewTable("STEP", "STATE", "TOOK")
	for _, s := range op.Steps {
		t.Row(s.Name, s.State, Millis(s.MS))
	}
	return t.Write(w)
}

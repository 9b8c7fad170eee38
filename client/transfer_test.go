package client

import (
	"strings"
	"testing"
	"unicode"

	"github.com/banger-vm/banger/api"
)

// What a guest says of a copy's end is fit to be shown, and no kind that
// stands for something here.
func FuzzFilesExit(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"error":{"kind":"not_found","message":"there is no x","hint":"Make it."}}`))
	f.Add([]byte(`{"error":{"kind":"unavailable","message":"\u001b[31m\u202e","operation":"x"}}`))
	f.Add([]byte(`{"error":[]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		err := decodeFilesExit(payload)
		if err == nil {
			return
		}
		switch api.KindOf(err) {
		case api.KindNotFound, api.KindInvalid, api.KindFailedPrecondition, api.KindCanceled, api.KindInternal:
		default:
			t.Errorf("the kind is %q", api.KindOf(err))
		}
		e, ok := err.(*api.Error)
		if ok && (strings.ContainsFunc(e.Message+e.Hint, func(r rune) bool { return !unicode.IsPrint(r) }) || e.Operation != "") {
			t.Errorf("it says %+v", e)
		}
	})
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/banger-vm/banger/test/matrix/result"
)

// writeResults writes what each top-level test came to, for test/matrix.
func (r *results) writeResults(path, variantPath string, permitted map[string]string) error {
	var variant result.Variant
	data, err := os.ReadFile(variantPath)
	if err == nil {
		err = json.Unmarshal(data, &variant)
	}
	if err != nil {
		return fmt.Errorf("finding out what the tests ran on: %w", err)
	}
	var all []result.Result
	add := func(keys []string, outcome string) {
		for _, key := range keys {
			_, test, ok := strings.Cut(key, " ")
			if ok && !strings.Contains(test, "/") {
				all = append(all, result.Result{Feature: feature(test), Variant: variant, Result: outcome, Reason: permitted[key]})
			}
		}
	}
	add(r.passes, result.Pass)
	add(r.failed, result.Fail)
	add(r.skipped, result.Skip)
	data, err = json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// feature turns the name of a test into words: TestRealGuestPowersOff is
// "guest powers off".
func feature(test string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(test, "Test"), "Real")
	var b strings.Builder
	rs := []rune(name)
	for i, c := range rs {
		upper := unicode.IsUpper(c)
		next := i+1 < len(rs) && unicode.IsLower(rs[i+1])
		if upper && i > 0 && (next || unicode.IsLower(rs[i-1])) {
			b.WriteByte(' ')
		}
		acronym := upper && (i+1 < len(rs) && unicode.IsUpper(rs[i+1]) || i > 0 && unicode.IsUpper(rs[i-1]) && !next)
		if upper && !acronym {
			c = unicode.ToLower(c)
		}
		b.WriteRune(c)
	}
	return b.String()
}

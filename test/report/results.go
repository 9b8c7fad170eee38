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
			pkg, test, ok := strings.Cut(key, " ")
			pkg, _, _ = strings.Cut(pkg, "@")                                // the line of test/host's table
			real := pkg == "test/e2e" || strings.HasPrefix(test, "TestReal") // it booted VMs
			if ok && real && !strings.Contains(test, "/") {
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
	var words []string
	begin := 0
	rs := []rune(strings.ReplaceAll(name, "VMs", "VMS"))
	for i := 1; i <= len(rs); i++ {
		ends := i == len(rs) || unicode.IsUpper(rs[i]) &&
			(!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1]))
		if !ends {
			continue
		}
		word := string(rs[begin:i])
		if len(word) == 1 || strings.ToUpper(word) != word { // no abbreviation
			word = strings.ToLower(word)
		}
		words, begin = append(words, word), i
	}
	return strings.ReplaceAll(strings.Join(words, " "), "VMS", "VMs")
}

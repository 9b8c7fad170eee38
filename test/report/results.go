package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/banger-vm/banger/test/matrix/result"
)

// writeResults writes what each test of a feature came to, for test/matrix: the
// tests of the end-to-end suite, and the parts of a conformance suite.
func (r *results) writeResults(path string, permitted map[string]string) error {
	all := []result.Result{} // a list, and never null
	for _, of := range []struct {
		outcome string
		keys    []string
	}{{result.Pass, r.passes}, {result.Fail, r.failed}, {result.Skip, r.skipped}} {
		for _, key := range of.keys {
			for _, on := range r.ran(key) {
				name, ok := feature(key, on)
				if !ok {
					continue
				}
				reason := permitted[key]
				if of.outcome != result.Skip {
					reason = strings.Join(on.Reduced, " ")
				}
				all = append(all, result.Result{Feature: name, Variant: on.Variant, Result: of.outcome, Reason: reason})
			}
		}
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// ran is all that a test and its parts ran on. A test that does not tell, as it
// was skipped or needed to know nothing of its machine, ran on what most of
// those beside it did.
func (r *results) ran(key string) []result.RanOn {
	if own := r.within(key + "/"); len(r.ranOn[key])+len(own) > 0 {
		return distinct(append(own, r.ranOn[key]...))
	}
	pkg, test, _ := strings.Cut(key, " ")
	beside := pkg + " "
	if i := strings.LastIndex(test, "/"); i >= 0 {
		beside += test[:i+1]
	}
	counts := make(map[result.Variant]int)
	var most result.RanOn
	for _, on := range r.within(beside) {
		counts[on.Variant]++
		if counts[on.Variant] > counts[most.Variant] {
			most = on
		}
	}
	if len(counts) == 0 {
		return nil
	}
	return []result.RanOn{most}
}

// within is what the tests whose keys begin so ran on.
func (r *results) within(prefix string) []result.RanOn {
	var all []result.RanOn
	for _, key := range slices.Sorted(maps.Keys(r.ranOn)) {
		if strings.HasPrefix(key, prefix) {
			all = append(all, r.ranOn[key]...)
		}
	}
	return all
}

// distinct has each variant once, with all that was reduced on it.
func distinct(all []result.RanOn) []result.RanOn {
	var out []result.RanOn
	for _, on := range all {
		i := slices.IndexFunc(out, func(o result.RanOn) bool { return o.Variant == on.Variant })
		if i < 0 {
			out = append(out, result.RanOn{Variant: on.Variant})
			i = len(out) - 1
		}
		for _, what := range on.Reduced {
			if !slices.Contains(out[i].Reduced, what) {
				out[i].Reduced = append(out[i].Reduced, what)
			}
		}
	}
	return out
}

// feature is what the test of that key tests; not ok: none that is told.
func feature(key string, on result.RanOn) (string, bool) {
	pkg, test, _ := strings.Cut(key, " ")
	pkg, _, _ = strings.Cut(pkg, "@") // the line of test/host's table
	top, part, isPart := strings.Cut(test, "/")
	switch {
	case pkg == "test/e2e" && !isPart && test != "":
		return words(test), true
	case !strings.HasSuffix(top, "Conformance") || !isPart || strings.Contains(part, "/"):
		return "", false
	case on.VMM == "":
		return result.GroupDisk + words(part), true
	default:
		return result.GroupVMM + words(part), true
	}
}

// words turns the name of a test into words: TestRealGuestPowersOff is
// "guest powers off".
func words(test string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(test, "Test"), "Long"), "Real")
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

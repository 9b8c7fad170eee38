package change

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/vm/spec"
)

// Whatever is asked for, what a VM was is not touched, and parameters that come
// from the journal make of it what they were made of.
func TestSettings(t *testing.T) {
	word := rapid.StringMatching(`[a-c]`)
	drawn := rapid.Custom(func(t *rapid.T) spec.VM {
		return spec.VM{
			Name: "a", CPUs: rapid.IntRange(1, 3).Draw(t, "cpus"), Network: rapid.SampledFrom([]string{"user", "none"}).Draw(t, "network"),
			Labels: rapid.MapOf(word, word).Draw(t, "labels"), Autostart: rapid.Bool().Draw(t, "autostart"),
			AllowHosts: rapid.SliceOfDistinct(rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2:80"}), rapid.ID).Draw(t, "allow"),
		}.WithDefaults(spec.Defaults{})
	})
	rapid.Check(t, func(rt *rapid.T) {
		s := drawn.Draw(rt, "VM")
		was := settingsOf(s)
		asked := Asked{
			CPUs: rapid.IntRange(0, 3).Draw(rt, "asked CPUs"), Labels: rapid.MapOf(word, word).Draw(rt, "more labels"),
			Unlabel: rapid.SliceOf(word).Draw(rt, "less labels"), Allow: rapid.SliceOf(rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.3/32"})).Draw(rt, "more"),
			Disallow: rapid.SliceOf(rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2:80"})).Draw(rt, "less"),
		}
		next, err := asked.apply(s)
		if !was.equal(settingsOf(s)) {
			rt.Fatalf("it was changed: %s", describe(was, settingsOf(s)))
		}
		if err != nil {
			return
		}
		want := settingsOf(next)
		text, err := json.Marshal(want)
		var read settings
		if err == nil {
			err = json.Unmarshal(text, &read)
		}
		if err != nil || !read.equal(want) {
			rt.Fatalf("%s, %v", text, err)
		}
		read.into(&s)
		if !settingsOf(s).equal(want) {
			rt.Fatalf("it became %+v", s)
		}
		for _, key := range asked.Unlabel {
			if _, there := want.Labels[key]; there {
				rt.Fatalf("%q is still there", key)
			}
		}
	})
}

func TestDescribe(t *testing.T) {
	was := settingsOf(spec.VM{CPUs: 1, MemoryBytes: 512 << 20, Labels: map[string]string{"b": "2", "a": "1"}})
	want := settingsOf(spec.VM{CPUs: 4, MemoryBytes: 2 << 30, Restart: "always", Autostart: true, AllowHosts: []string{"10.0.0.1"}})
	got := describe(was, want)
	if got != "cpus: 1 to 4; memory: 512M to 2G; allow_hosts: none to 10.0.0.1; labels: a=1, b=2 to none; restart: no to always; autostart: false to true" {
		t.Error(got)
	}
}

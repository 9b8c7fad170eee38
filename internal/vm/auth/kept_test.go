package auth

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
)

func aFile(path, text string) credential.File {
	return credential.File{Path: path, Mode: 0o600, Data: credential.Secret(text)}
}

func sent(files ...credential.File) Sent { return Sent{Set: credential.Set{Files: files}} }

func (s Sent) asked() Sent { s.Asked = true; return s }

// paths are the files that are kept, with their content.
func (has kept) paths() (all []string) {
	for _, f := range has.Files {
		all = append(all, f.Path+"="+string(f.Data))
	}
	return all
}

// What a client sends at each start comes to what is there; what a user took away
// comes back only when a user asks for it.
func TestWhatIsSentAndTakenAway(t *testing.T) {
	var has kept
	apply := func(s Sent) {
		t.Helper()
		var err error
		if has, err = has.with(s); err != nil {
			t.Fatal(err)
		}
	}
	is := func(paths, gone []string, off bool) {
		t.Helper()
		if !slices.Equal(has.paths(), paths) || !slices.Equal(has.Gone, gone) || has.Off != off {
			t.Errorf("%q, gone %q, off %v", has.paths(), has.Gone, has.Off)
		}
	}
	apply(Sent{Set: credential.Set{Git: &credential.Git{Name: "A"}, Files: []credential.File{aFile("~/b", "1"), aFile("~/a", "1")}}})
	is([]string{"~/a=1", "~/b=1"}, nil, false)
	id := has.ID
	apply(sent(aFile("~/a", "1")))
	if has.ID != id {
		t.Error("the same is another state")
	}
	apply(sent(aFile("~/a", "2")))
	if is([]string{"~/a=2", "~/b=1"}, nil, false); has.ID == id || has.Git.Name != "A" {
		t.Errorf("%q, %+v", has.ID, has.Git)
	}
	has = has.without(Removal{Paths: []string{"~/a"}})
	is([]string{"~/b=1"}, []string{"~/a"}, false)
	apply(sent(aFile("~/a", "3"), aFile("~/c", "3"))) // unasked
	is([]string{"~/b=1", "~/c=3"}, []string{"~/a"}, false)
	apply(sent(aFile("~/a", "4")).asked())
	is([]string{"~/a=4", "~/b=1", "~/c=3"}, nil, false)
	has = has.without(Removal{})
	if is(nil, []string{"~/a", "~/b", "~/c"}, true); has.Git != nil {
		t.Errorf("%+v", has.Git)
	}
	apply(sent(aFile("~/d", "5")))
	is(nil, []string{"~/a", "~/b", "~/c"}, true)
	apply(sent(aFile("~/b", "5")).asked())
	is([]string{"~/b=5"}, []string{"~/a", "~/c"}, true) // just that, and nothing else
	apply(Sent{Set: credential.Set{Git: &credential.Git{Name: "B"}}})
	if is([]string{"~/b=5"}, []string{"~/a", "~/c"}, true); has.Git != nil {
		t.Errorf("%+v", has.Git)
	}
	apply(Sent{Asked: true, Set: credential.Set{Git: &credential.Git{Name: "B"}, Files: []credential.File{aFile("~/b", "6")}}})
	if is([]string{"~/b=6"}, []string{"~/a", "~/c"}, false); has.Git == nil {
		t.Error("git was not pushed")
	}
	apply(Sent{Off: true})
	is(nil, []string{"~/a", "~/c", "~/b"}, true)
}

// Keys and git's name go by being sent as none, and by being taken away, which
// lasts until a user asks for them.
func TestKeysAndGitAreTakenAway(t *testing.T) {
	some := Sent{Set: credential.Set{Git: &credential.Git{Name: "A"}, Keys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0EzFVqUsMqLfnGhO7hyjwDuJH0g8yT5o2HIcWHSZlu"}}}
	none := Sent{Set: credential.Set{Git: &credential.Git{}, Keys: []string{}}}
	var has kept
	for i, c := range []struct {
		s          Sent
		what       *Removal
		keys, gits bool
	}{
		{some, nil, true, true},
		{sent(aFile("~/a", "1")), nil, true, true}, // says nothing of them
		{none, nil, false, false},
		{some, nil, true, true},
		{Sent{}, &Removal{Keys: true}, false, true},
		{some, nil, false, true},
		{some.asked(), nil, true, true},
		{Sent{}, &Removal{Git: true}, true, false},
		{some, nil, true, false},
		{some.asked(), nil, true, true},
	} {
		var err error
		if c.what != nil {
			has = has.without(*c.what)
		} else if has, err = has.with(c.s); err != nil {
			t.Fatal(err)
		}
		if (len(has.Keys) > 0) != c.keys || (has.Git != nil) != c.gits || has.Off {
			t.Errorf("%d: %+v", i, has)
		}
	}
	before := has
	if has, _ = has.with(some); has.ID != before.ID {
		t.Error("the same is another state")
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	has, err := kept{}.with(sent(aFile("~/a", string(make([]byte, credential.MaxFile))), aFile("~/b", string(make([]byte, credential.MaxFile)))))
	if err != nil {
		t.Fatal(err)
	}
	next, err := has.with(sent(aFile("~/c", "1")))
	if f := fault.From(err); f == nil || f.Kind != fault.Invalid || f.Hint == "" || next.ID != has.ID {
		t.Errorf("%v, %q", err, next.ID)
	}
}

func TestPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SampledFrom([]string{"~/a", "~/b", "/etc/c"})
		var has kept
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				before := has
				s := sent(aFile(path.Draw(t, "path"), fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "text"))))
				s.Asked, s.Off = rapid.Bool().Draw(t, "asked"), rapid.IntRange(0, 9).Draw(t, "off") == 0
				var err error
				if has, err = has.with(s); err != nil {
					t.Fatal(err)
				}
				same := before
				if same.ID = has.ID; reflect.DeepEqual(same, has) != (before.ID == has.ID) {
					t.Errorf("%+v became %+v", before, has)
				}
				if s.Asked && !s.Off && !slices.ContainsFunc(has.Files, func(f file) bool { return f.Path == s.Files[0].Path }) {
					t.Errorf("what was asked for is not in %+v", has)
				}
			},
			"remove": func(t *rapid.T) { has = has.without(Removal{Paths: []string{path.Draw(t, "path")}}) },
			"remove all": func(t *rapid.T) {
				if has = has.without(Removal{}); len(has.Files) > 0 || !has.Off {
					t.Errorf("%+v", has)
				}
			},
			"": func(t *rapid.T) {
				if err := has.Check(); err != nil || len(has.Gone) > wire.MaxGone {
					t.Error(err)
				}
				for _, f := range has.Files {
					if slices.Contains(has.Gone, f.Path) {
						t.Errorf("%+v", has)
					}
				}
			},
		})
	})
}

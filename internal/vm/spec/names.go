package spec

import "math/rand/v2"

// MadeUpName makes a name for a VM that was given none. A clash is refused by
// the store like any other taken name; with 4 digits it is rare.
func MadeUpName() string {
	first := [...]string{"amber", "brisk", "calm", "dapper", "eager", "fuzzy", "gentle", "happy", "idle", "jolly", "keen", "lucid", "mellow", "nimble", "quiet", "rapid", "sunny", "tidy", "vivid", "witty"}
	second := [...]string{"badger", "crane", "dingo", "egret", "ferret", "gecko", "heron", "ibis", "koala", "lemur", "marten", "newt", "otter", "panda", "quail", "raven", "stoat", "tapir", "vole", "wren"}
	digits := [...]byte{byte('0' + rand.N(10)), byte('0' + rand.N(10)), byte('0' + rand.N(10)), byte('0' + rand.N(10))}
	return first[rand.N(len(first))] + "-" + second[rand.N(len(second))] + "-" + string(digits[:])
}

package table

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

const events = `# a compiler's words
{"Action":"attr","Key":"fault","Value":"{\"verb\":\"stop\",\"step\":\"a\",\"fault\":\"daemon starting\",\"ended\":\"succeeded\",\"resumed\":1}"}
{"Action":"attr","Key":"other","Value":"x"}
{"Action":"attr","Key":"fault","Value":"{\"verb\":\"create\",\"step\":\"b\",\"fault\":\"daemon undoing\",\"ended\":\"canceled\",\"resumed\":1}"}
{"Action":"attr","Key":"fault","Value":"{\"verb\":\"stop\",\"step\":\"a\",\"fault\":\"monitor acted\",\"ended\":\"succeeded; there was none\"}"}
{"Action":"attr","Key":"fault","Value":"{\"verb\":\"stop\",\"step\":\"a\",\"fault\":\"cancel acted\",\"ended\":\"canceled\"}"}
{"Action":"attr","Key":"fault","Value":"{\"verb\":\"stop\",\"step\":\"z\",\"fault\":\"monitor acted\",\"ended\":\"succeeded\",\"failed\":true}"}
{"Action":"pass"}
`

func TestTable(t *testing.T) {
	got, err := Read(strings.NewReader(events), "2026-01-02", "qemu/tcg")
	if err != nil || len(got.Rows) != 5 || got.Rows[0].Verb != "create" || got.Rows[1].Fault != "daemon starting" {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got.Sum(); s != (Sum{Faults: 5, Failed: 1, Resumed: 1, TakenBack: 1}) {
		t.Errorf("%+v", s)
	}
	// z failed, new was not there, a of another verb does not count.
	if lacks := got.Lacks("stop", []string{"a", "z", "new"}); !slices.Equal(lacks, []string{"z", "new"}) {
		t.Errorf("%q", lacks)
	}
	if lacks := got.Lacks("start", []string{"a"}); len(lacks) != 1 {
		t.Errorf("%q", lacks)
	}
	var page bytes.Buffer
	Page(&page, map[string]Table{"qemu": got})
	for _, want := range []string{
		"| qemu/tcg | 2026-01-02 | 5 | 1 | 1 | 1 |\n", "| create | b |  |  |  | canceled |\n",
		"| stop | a | succeeded | there was none | canceled |  |\n", "| stop | z |  | **wrong** |  |  |\n",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("there is no %q in\n%s", want, page.String())
		}
	}
}

// docs/faults.md is made of the tables that are kept.
func TestPageIsCurrent(t *testing.T) {
	kept, err := Load("..")
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	Page(&page, kept)
	doc, err := os.ReadFile("../../../docs/faults.md")
	if err != nil || string(doc) != page.String() {
		t.Errorf("run go run ./test/faults -write docs/faults.md (%v)", err)
	}
}

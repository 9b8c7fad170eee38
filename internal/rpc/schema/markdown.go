package schema

import (
	"bytes"
	"fmt"
	"strings"
)

const preamble = `<!-- Generated from package api by "make generate"; do not edit. -->
# The protocol

JSON-RPC 2.0 over a Unix socket, one message per line, version %d. The daemon's socket is shown by
` + "`banger daemon status`" + `; a running VM's monitor has its own, which ` + "`vm.connect`" + ` tells. Only the socket's owner
and root may call. A line over 1 MiB is refused and ends the connection; unknown parameters are refused by name;
notifications are passed over. Any number of calls may be under way on a connection, and a call whose connection ends
is cancelled; an operation that it began goes on.

Sizes are bytes, durations milliseconds (` + "`…_ms`" + `), times RFC 3339 in UTC. Fields marked ? may be left out.

A method that begins a long action returns an Operation at once; wait for it with ` + "`op.wait`" + `. A repeated call with the
same ` + "`idempotency_key`" + ` returns the same operation. The same in JSON: ` + "`banger rpc schema`" + `.
`

// Markdown writes the reference.
func (s *Schema) Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, preamble, s.Protocol)
	for _, server := range []struct{ name, title string }{
		{"daemon", "Methods of the daemon"},
		{"monitor", "Methods of a VM's monitor"},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| Method | Parameters | Result | |\n|---|---|---|---|\n", server.title)
		for _, m := range s.Methods {
			if m.Server != server.name {
				continue
			}
			result := link(m.Result)
			if m.Stream {
				result += ", then [frames](streams.md)"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, link(m.Params), result, cell(m.Summary))
		}
	}
	b.WriteString("\n## Errors\n\n`code` and `message` are JSON-RPC's; `data` is an [Error](#error). JSON-RPC's own codes (-32700 no JSON, " +
		"-32600 no request, -32601 unknown method) are of the kind `invalid`.\n\n| Kind | Code |\n|---|---|\n")
	for _, e := range s.Errors {
		fmt.Fprintf(&b, "| `%s` | %d |\n", e.Kind, e.Code)
	}
	b.WriteString("\n## Types\n")
	for _, t := range s.Types {
		t.markdown(&b)
	}
	return b.Bytes()
}

func (t Type) markdown(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### %s\n\n%s\n", t.Name, t.Doc)
	if len(t.Fields) > 0 {
		b.WriteString("\n| Field | Type | |\n|---|---|---|\n")
	}
	for _, f := range t.Fields {
		name := "`" + f.Name + "`"
		if f.Optional {
			name += " ?"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, linkIn(f.Type), cell(f.Doc))
	}
	if len(t.Values) > 0 {
		b.WriteString("\n| Value | |\n|---|---|\n")
	}
	for _, v := range t.Values {
		fmt.Fprintf(b, "| `%s` | %s |\n", v.Value, cell(v.Doc))
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func link(name string) string { return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name)) }

// linkIn links the last word of a field's type if it is a type of api.
func linkIn(typ string) string {
	i := strings.LastIndexByte(typ, ' ') + 1
	if word := typ[i:]; word[0] >= 'A' && word[0] <= 'Z' {
		return typ[:i] + link(word)
	}
	return typ
}

package show

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is rows below a header, in columns as wide as their widest cell.
type Table struct {
	header []string
	rows   [][]string
}

// NewTable makes a table with the given header.
func NewTable(header ...string) *Table { return &Table{header: header} }

// Row adds a row; its cells are made safe.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = Safe(c)
		if c == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// Write writes the table.
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	out := bufio.NewWriter(w)
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, c := range row {
			out.WriteString(c)
			if i < len(row)-1 {
				out.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
			}
		}
		out.WriteByte('\n')
	}
	return out.Flush() // keeps the first error of the writes above
}

// Fields writes names and values, one pair a line, the values below each
// other. Pairs with an empty value are left out.
func Fields(w io.Writer, pairs ...string) error {
	width := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i])+1)
		}
	}
	out := bufio.NewWriter(w)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		out.WriteString(pairs[i] + ":" + strings.Repeat(" ", width-len(pairs[i])))
		out.WriteString(Safe(pairs[i+1]) + "\n")
	}
	return out.Flush()
}

// Short is the part of an ID that people see.
func Short(id string) string { return id[:min(len(id), 12)] }

package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Table is a table for a terminal: as wide as its cells, the last column unbounded. What stands in a cell is made safe.
type Table struct {
	head  []string
	rows  [][]string
	right []int
}

// NewTable gives a table with the names of its columns.
func NewTable(head ...string) *Table { return &Table{head: head} }

// Right sets columns, counted from 0, to the right: figures.
func (t *Table) Right(columns ...int) { t.right = columns }

// Row adds a row; it has as many cells as there are columns.
func (t *Table) Row(cells ...string) {
	if len(cells) != len(t.head) {
		panic(fmt.Sprintf("BUG: %d cells in a table of %d columns", len(cells), len(t.head)))
	}
	for i := range cells {
		cells[i] = Safe(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// Write writes the table.
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	out := bufio.NewWriter(w)
	for _, row := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			if slices.Contains(t.right, i) {
				line.WriteString(right(cell, widths[i]))
			} else {
				line.WriteString(pad(cell, widths[i]))
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

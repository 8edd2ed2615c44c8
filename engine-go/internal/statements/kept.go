package statements

import (
	"slices"
	"strings"
)

// kept are the compiled statements of one connection that nobody uses right now. There are few of them, and a list needs less memory than a map.
type kept struct {
	most    int
	entries []entry // the one that was used last is the last one
	closed  bool
}

type entry struct {
	text      string
	statement plainStatement
}

// take hands over the statement of a text; nil when there is none.
func (kept *kept) take(text string) plainStatement {
	for index := len(kept.entries) - 1; index >= 0; index-- {
		if found := kept.entries[index]; found.text == text {
			kept.entries = slices.Delete(kept.entries, index, index+1)
			return found.statement
		}
	}
	return nil
}

// give keeps a statement that nobody uses any more, and throws away the one that was not used for the longest time when there are too many.
func (kept *kept) give(text string, statement plainStatement) {
	if kept.closed || kept.most == 0 {
		_ = statement.Close()
		return
	}
	if len(kept.entries) >= kept.most {
		_ = kept.entries[0].statement.Close()
		kept.entries = slices.Delete(kept.entries, 0, 1)
	}
	kept.entries = append(kept.entries, entry{text, statement})
}

// clear throws away all of them. Errors are those of an earlier use, if any, which were told then.
func (kept *kept) clear() {
	for _, each := range kept.entries {
		_ = each.statement.Close()
	}
	kept.entries = nil
}

// close throws away all of them, and whatever is given back later.
func (kept *kept) close() {
	kept.clear()
	kept.closed = true
}

// keepable says whether a compiled text does the same at its second use. Pragmas do not: SQLite carries some of them out while it compiles them.
// Several statements in one text are compiled one after the other by the driver below.
func keepable(text string) bool {
	if strings.ContainsRune(text, ';') {
		return false
	}
	text = strings.TrimLeft(text, " \t\r\n")
	end := strings.IndexAny(text, " \t\r\n(*'\"")
	if end < 0 {
		return false
	}
	switch strings.ToUpper(text[:end]) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH":
		return true
	}
	return false
}

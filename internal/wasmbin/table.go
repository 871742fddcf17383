package wasmbin

import "math"

// tableRoom is how many elements each table of the module may grow by.
func (r *rewriter) tableRoom() (uint64, error) {
	limit := r.opts.TableElements
	if limit == 0 || len(r.ownTables) == 0 {
		return 0, nil
	}
	var least uint64
	for i := range r.ownTables {
		least += r.ownTables[i].Min
	}
	if least > limit {
		return 0, &LimitError{Limit: "TableElements", Section: sectionNames[secTable], Offset: r.section(secTable).at, What: "elements of tables to start with", Has: least, Most: limit}
	}
	return (limit - least) / uint64(len(r.ownTables)), nil
}

// capped reports whether a table may grow further than its room.
func (r *rewriter) capped(t *Table) bool {
	most := t.Min + r.room
	return r.opts.TableElements != 0 && most <= math.MaxUint32 && (!t.HasMax || t.Max > most)
}

// capsTables reports whether any table gets another maximum.
func (r *rewriter) capsTables() bool {
	for i := range r.ownTables {
		if r.capped(&r.ownTables[i]) {
			return true
		}
	}
	return false
}

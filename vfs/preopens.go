package vfs

// Preopens lists the descriptors that are open when a guest starts.
type Preopens struct {
	// Stdin, Stdout and Stderr become the descriptors 0, 1 and 2. If one is nil, its number stays
	// closed.
	Stdin, Stdout, Stderr *OpenFile
	// Namespace gives the preopened directories, from 3 on: "/" if there are absolute mounts, then
	// the relative names in the order of mounting. It may be nil.
	Namespace *Namespace
	// Files come after the preopened directories: listeners, connections, directories or other
	// files that host code has opened.
	Files []*OpenFile
}

// Install inserts all of them into t, which must be empty. t takes over the caller's references.
// Errors: EMFILE; EBADF after Close. After an error, Install has closed the files that it did not
// insert.
func (p *Preopens) Install(t *Table) error {
	std := [...]*OpenFile{p.Stdin, p.Stdout, p.Stderr}
	var rest []*OpenFile
	if p.Namespace != nil {
		rest = p.Namespace.Preopens()
	}
	rest = append(rest, p.Files...)
	var first error
	for fd, f := range std {
		if f == nil {
			continue
		}
		if err := t.InsertAt(uint32(fd), f); err != nil {
			f.release()
			first = err
		}
	}
	for _, f := range rest {
		if first != nil {
			f.release()
			continue
		}
		if _, err := t.insertFrom(uint32(len(std)), f); err != nil {
			f.release()
			first = err
		}
	}
	return first
}

// Preopens returns an open directory for each tree of mounts: "/" if there are absolute mounts,
// then the relative names in the order of mounting.
func (ns *Namespace) Preopens() []*OpenFile {
	var list []*OpenFile
	for _, p := range ns.preopens() {
		f := newRootFile(p)
		f.preopened = true
		list = append(list, f)
	}
	return list
}

package vfs

// Preopens is what a guest finds open when it starts.
type Preopens struct {
	// Stdin, Stdout and Stderr become the descriptors 0, 1 and 2. Where one is nil the number stays
	// closed.
	Stdin, Stdout, Stderr *OpenFile
	// Namespace gives the preopened directories, from 3 on: "/" if there are absolute mounts, then
	// the relative names in the order of mounting. It may be nil.
	Namespace *Namespace
	// Files come after them: listeners, connections, directories, whatever host code has opened.
	Files []*OpenFile
}

// Install inserts all of them into t, which is empty, and takes over the caller's hold on them.
// Errors: EMFILE, EBADF after Close; what has not been inserted is closed then.
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

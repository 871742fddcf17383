package virt

import (
	gopath "path"
	"strings"

	"github.com/wasivirt/wasivirt/virt/abi"
)

// subject says which files a call is about. Middleware, policies and traces ask it and nothing
// else.
type subject struct {
	fds   []uint32
	paths []place
}

// place is the file that a path parameter names.
type place struct {
	param *abi.Param
	dir   uint32 // the descriptor that path is relative to
	path  string
	root  bool // path starts at the guest's root instead
}

// subject finds the files of a call with the parameters p. read returns the path at a parameter, or
// false if it cannot be read.
func (f *function) subject(p []uint64, read func(param *abi.Param, at int) (string, bool)) (s subject) {
	var target place
	for at, param := range f.All() {
		switch param.Kind {
		case abi.KindFd:
			s.fds = append(s.fds, uint32(p[at]))
		case abi.KindPath:
			text, ok := read(param, at)
			switch {
			case !ok:
			case len(s.fds) == 0:
				target = place{param: param, path: text} // what path_symlink stores: it is relative to the link
			default:
				s.paths = append(s.paths, place{param: param, dir: s.fds[len(s.fds)-1], path: text})
			}
		}
	}
	if target.param != nil && len(s.paths) > 0 {
		link := s.paths[0]
		above, _ := gopath.Split(strings.TrimRight(link.path, "/"))
		if target.root = gopath.IsAbs(target.path); !target.root {
			target.dir, target.path = link.dir, above+target.path
		}
		s.paths = append(s.paths, target)
	}
	return s
}

// texts are the paths of the files as the guest names them: "." and ".." are removed by their text.
// If the call has no path parameters, they are those of its open descriptors.
func (s *subject) texts(t *thread) (all []string) {
	for i := range s.paths {
		all = append(all, s.paths[i].text(t))
	}
	if s.paths == nil {
		for _, fd := range s.fds {
			if at := t.pathOf(fd); at != "" {
				all = append(all, at)
			}
		}
	}
	return all
}

func (p *place) text(t *thread) string {
	if p.root {
		return gopath.Clean(p.path)
	}
	return gopath.Clean(t.pathOf(p.dir) + "/" + p.path)
}

// resolved is texts with symbolic links followed.
func (s *subject) resolved(t *thread) (all []string) {
	for _, p := range s.paths {
		if p.root {
			all = append(all, gopath.Clean(p.path))
		} else {
			all = append(all, t.files.Resolve(p.dir, p.path))
		}
	}
	if s.paths == nil {
		for _, fd := range s.fds {
			if f := t.files.Table.Get(fd); f != nil {
				all = append(all, f.Resolved())
			}
		}
	}
	return all
}
